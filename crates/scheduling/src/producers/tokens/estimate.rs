//! How many tokens an image or a video stands for, without asking the model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::Build;

/// How many tokens media stand for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Estimate {
    /// Images.
    pub image: ImageEstimate,
    /// Videos.
    pub video: VideoEstimate,
}

/// Whether a number follows from the size or is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Dynamic,
    Static,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Resolution {
    width: u32,
    height: u32,
}

impl Default for Resolution {
    fn default() -> Self {
        Self {
            width: 640,
            height: 360,
        }
    }
}

/// Pixels per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Pixels {
    factor: u64,
}

impl Default for Pixels {
    fn default() -> Self {
        Self { factor: 1024 }
    }
}

impl Pixels {
    fn tokens(self, size: Resolution) -> u64 {
        u64::from(size.width) * u64::from(size.height) / self.factor.max(1)
    }
}

/// Tokens of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageEstimate {
    mode: Mode,
    /// Of images whose size is not known.
    default_resolution: Resolution,
    dynamic: Pixels,
    #[serde(rename = "static")]
    fixed: FixedImage,
}

/// A number for all images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct FixedImage {
    static_token: u64,
}

impl ImageEstimate {
    /// Tokens of an image of that many pixels, or of one of unknown size.
    #[must_use]
    pub fn tokens(&self, size: Option<(u32, u32)>) -> u64 {
        match self.mode {
            Mode::Static => self.fixed.static_token.max(1),
            Mode::Dynamic => {
                let known = size.map(|(width, height)| Resolution { width, height });
                self.dynamic
                    .tokens(known.unwrap_or(self.default_resolution))
            }
        }
    }
}

/// How frames are taken from a video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FrameMode {
    /// So many a second.
    #[default]
    Sampled,
    /// Every so manieth.
    Strided,
}

/// Tokens of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoEstimate {
    /// Seconds of videos whose length is not known.
    default_duration: f64,
    /// Of videos whose size is not known.
    default_resolution: Resolution,
    /// Most tokens of a video; 0 = any number.
    max_video_tokens: u64,
    frames: Frames,
    tokens_per_frame: PerFrame,
}

impl Default for VideoEstimate {
    fn default() -> Self {
        Self {
            default_duration: 10.0,
            default_resolution: Resolution::default(),
            max_video_tokens: 0,
            frames: Frames::default(),
            tokens_per_frame: PerFrame::default(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Frames {
    mode: FrameMode,
    min_frames: u64,
    max_frames: u64,
    sampled: Sampled,
    strided: Strided,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Sampled {
    #[serde(rename = "sampleFPS")]
    sample_fps: f64,
    temporal_patch_size: u64,
}

impl Default for Sampled {
    fn default() -> Self {
        Self {
            sample_fps: 2.0,
            temporal_patch_size: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Strided {
    #[serde(rename = "defaultSourceFPS")]
    default_source_fps: f64,
    frame_stride: u64,
}

impl Default for Strided {
    fn default() -> Self {
        Self {
            default_source_fps: 24.0,
            frame_stride: 1,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct PerFrame {
    mode: Mode,
    dynamic: Pixels,
    #[serde(rename = "static")]
    fixed: FixedFrame,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct FixedFrame {
    num_tokens_per_frame: u64,
}

/// What a request says about its videos, in headers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoHints {
    /// Length in seconds.
    pub seconds: Option<f64>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub fps: Option<f64>,
}

impl VideoEstimate {
    /// Tokens of a video.
    #[must_use]
    pub fn tokens(&self, hints: &VideoHints) -> u64 {
        let seconds = hints.seconds.unwrap_or(self.default_duration).max(0.0);
        let known = hints
            .size
            .map(|(width, height)| Resolution { width, height });
        let per_frame = match self.tokens_per_frame.mode {
            Mode::Static => self.tokens_per_frame.fixed.num_tokens_per_frame.max(1),
            Mode::Dynamic => {
                let size = known.unwrap_or(self.default_resolution);
                self.tokens_per_frame.dynamic.tokens(size)
            }
        };
        let tokens = self
            .frames
            .number(seconds, hints.fps)
            .saturating_mul(per_frame);
        match self.max_video_tokens {
            0 => tokens,
            most => tokens.min(most),
        }
    }
}

impl Frames {
    fn number(&self, seconds: f64, fps: Option<f64>) -> u64 {
        let most = if self.max_frames == 0 {
            u64::MAX
        } else {
            self.max_frames
        };
        let within = |frames: f64| (frames as u64).max(self.min_frames).min(most);
        match self.mode {
            FrameMode::Sampled => {
                let frames = within(seconds * self.sampled.sample_fps);
                frames.div_ceil(self.sampled.temporal_patch_size.max(1))
            }
            FrameMode::Strided => {
                let fps = fps.unwrap_or(self.strided.default_source_fps);
                within(seconds * fps / self.strided.frame_stride.max(1) as f64)
            }
        }
    }
}

impl Estimate {
    pub(super) fn check(&self, build: &mut Build<'_>) {
        let seconds = self.video.default_duration;
        let path = "estimate.video.defaultDuration";
        build.require(seconds >= 0.0, path, seconds, ">= 0");
        let fps = self.video.frames.sampled.sample_fps;
        let path = "estimate.video.frames.sampled.sampleFPS";
        build.require(fps > 0.0, path, fps, "> 0");
    }
}
