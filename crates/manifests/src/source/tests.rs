use super::*;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A directory of its own for each test, gone with it.
pub(crate) struct Scratch {
    root: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-manifests-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).expect("scratch directory");
        Self { root }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, text).expect("written");
    }

    /// Replaces a file as editors do: write another, rename it over.
    fn replace(&self, name: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.path(".new"), self.path(name)).expect("renamed");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Manifests with a pool of `count` endpoints.
fn endpoints(count: usize) -> String {
    let line = |index| format!("- {{name: e{index}, address: 10.0.0.{index}, port: '8000'}}\n");
    format!("endpoints:\n{}", (1..=count).map(line).collect::<String>())
}

fn count(snapshot: &Snapshot) -> usize {
    snapshot
        .pools
        .values()
        .map(|pool| pool.endpoints.len())
        .sum()
}

fn open(path: &Path) -> FileSource {
    FileSource::open(&[path.to_owned()], Options::default()).expect("opens")
}

/// Far beyond what any step takes; reached only if something never comes.
const NEVER: Duration = Duration::from_secs(120);

/// Waits for a configuration with so many endpoints; gives its generation.
async fn until(receiver: &mut watch::Receiver<Arc<Snapshot>>, endpoints: usize) -> u64 {
    let wait = receiver.wait_for(|snapshot| count(snapshot) == endpoints);
    let found = tokio::time::timeout(NEVER, wait)
        .await
        .expect("in time")
        .expect("source lives");
    found.generation
}

/// Waits for so many refusals.
async fn until_refused(source: &FileSource, refused: u64) -> crate::State {
    let mut states = source.status().subscribe();
    let wait = states.wait_for(|state| state.refused >= refused);
    tokio::time::timeout(NEVER, wait)
        .await
        .expect("in time")
        .expect("source lives")
        .clone()
}

#[tokio::test]
async fn changes_are_published_under_growing_numbers() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let source = open(&scratch.root());
    let mut snapshots = source.subscribe();
    assert_eq!(until(&mut snapshots, 1).await, 1);
    scratch.write("a.yaml", &endpoints(2));
    let second = until(&mut snapshots, 2).await;
    scratch.replace("a.yaml", &endpoints(3));
    let third = until(&mut snapshots, 3).await;
    assert!(1 < second && second < third, "{second} {third}");
    let mut states = source.status().subscribe();
    let wait = states.wait_for(|state| state.generation == third);
    tokio::time::timeout(NEVER, wait)
        .await
        .expect("in time")
        .expect("source lives");
}

#[tokio::test]
async fn files_that_come_and_go_count() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let source = open(&scratch.root());
    let mut snapshots = source.subscribe();
    let other = "endpoints: [{name: x, address: 10.1.0.1, port: '1'}]";
    scratch.write("b.yml", other);
    until(&mut snapshots, 2).await;
    fs::remove_file(scratch.path("b.yml")).expect("removed");
    until(&mut snapshots, 1).await;
}

#[tokio::test]
async fn a_bad_change_is_refused_and_the_last_good_one_stays() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let source = open(&scratch.root());
    let mut snapshots = source.subscribe();
    scratch.replace(
        "a.yaml",
        "endpoints:\n- {name: e1, address: 10.0.0.1, port: none}\n",
    );
    let state = until_refused(&source, 1).await;
    assert_eq!((state.generation, source.status().generation()), (1, 1));
    let reason = state.last_error.expect("a reason");
    assert!(
        reason.contains("a.yaml:2: endpoints[0].port: is not a port"),
        "{reason}"
    );
    assert_eq!(count(&snapshots.borrow()), 1);

    scratch.replace("a.yaml", &endpoints(2));
    assert!(until(&mut snapshots, 2).await > 1);
    let mut states = source.status().subscribe();
    let wait = states.wait_for(|state| state.last_error.is_none());
    tokio::time::timeout(NEVER, wait)
        .await
        .expect("in time")
        .expect("source lives");
    assert!(
        source.status().refused() >= 1,
        "what was refused stays counted"
    );
}

#[tokio::test]
async fn a_file_that_vanishes_is_refused_until_it_is_back() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let source = open(&scratch.path("a.yaml"));
    let mut snapshots = source.subscribe();
    fs::remove_file(scratch.path("a.yaml")).expect("removed");
    let state = until_refused(&source, 1).await;
    assert!(state.last_error.expect("a reason").contains("cannot read"));
    scratch.write("a.yaml", &endpoints(2));
    until(&mut snapshots, 2).await;
}

/// How kubelet updates a mounted ConfigMap: files are links into `..data`, which is swapped.
#[tokio::test]
async fn a_config_map_is_swapped_as_a_whole() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new();
    scratch.write("..1/a.yaml", &endpoints(1));
    symlink("..1", scratch.path("..data")).expect("link");
    symlink("..data/a.yaml", scratch.path("a.yaml")).expect("link");
    let whole = open(&scratch.root());
    let single = open(&scratch.path("a.yaml"));
    let (mut from_whole, mut from_single) = (whole.subscribe(), single.subscribe());
    for (version, last) in [(2, 1), (3, 2)] {
        scratch.write(&format!("..{version}/a.yaml"), &endpoints(version));
        symlink(format!("..{version}"), scratch.path("..data_tmp")).expect("link");
        fs::rename(scratch.path("..data_tmp"), scratch.path("..data")).expect("swapped");
        fs::remove_dir_all(scratch.path(&format!("..{last}"))).expect("removed");
        until(&mut from_whole, version).await;
        until(&mut from_single, version).await;
    }
}

#[tokio::test]
async fn changes_behind_a_link_are_seen() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new();
    scratch.write("real/a.yaml", &endpoints(1));
    fs::create_dir(scratch.path("linked")).expect("directory");
    symlink("../real/a.yaml", scratch.path("linked/a.yaml")).expect("link");
    let source = open(&scratch.path("linked"));
    let mut snapshots = source.subscribe();
    scratch.write("real/a.yaml", &endpoints(2));
    until(&mut snapshots, 2).await;
}

#[tokio::test]
async fn what_changes_nothing_publishes_nothing() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let source = open(&scratch.root());
    let mut snapshots = source.subscribe();
    scratch.write("a.yaml", &endpoints(1));
    scratch.write("notes.txt", "not a manifest");
    scratch.write("a.yaml", &endpoints(2));
    assert_eq!(
        until(&mut snapshots, 2).await,
        2,
        "no generation in between"
    );
}

#[test]
fn the_same_text_is_tried_once() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let mut loader = Loader::new(vec![scratch.root()], Options::default());
    assert_eq!(loader.load_first().expect("loads").generation, 1);
    let mut changed = || {
        loader
            .load_changed()
            .map(|snapshot| snapshot.map(|new| new.generation))
    };
    assert!(matches!(changed(), Ok(None)));
    scratch.write("a.yaml", &endpoints(2));
    assert!(matches!(changed(), Ok(Some(2))));
    assert!(matches!(changed(), Ok(None)));
    scratch.write("a.yaml", "endpoints: 1");
    assert!(matches!(changed(), Err(SourceError::Invalid(_))));
    assert!(matches!(changed(), Ok(None)), "refused and counted once");
    fs::remove_file(scratch.path("a.yaml")).expect("removed");
    scratch.write("b.yaml", &endpoints(2));
    assert!(
        matches!(changed(), Ok(Some(3))),
        "what problems are called counts too"
    );
}

#[test]
fn a_bad_start_is_an_error_with_its_places() {
    let scratch = Scratch::new();
    scratch.write(
        "a.yaml",
        "endpoints:\n- {name: e1, address: 10.0.0.1, port: none}\n",
    );
    let error = FileSource::open(&[scratch.root()], Options::default()).expect_err("refused");
    let text = error.to_string();
    assert!(
        text.starts_with("the configuration has errors:\n  "),
        "{text}"
    );
    assert!(text.contains("a.yaml:2: endpoints[0].port"), "{text}");
}

#[test]
fn without_paths_there_is_nothing_to_watch() {
    let endpoint = resources::EndpointSpec::parse_flag("http://10.0.0.1:8000").expect("flag");
    let options = Options {
        endpoints: vec![endpoint],
        ..Options::default()
    };
    let source = FileSource::open(&[], options).expect("opens");
    assert_eq!(
        (
            count(&source.subscribe().borrow()),
            source.status().generation()
        ),
        (1, 1)
    );
    assert!(source.stop.is_none());
}

#[tokio::test]
async fn dropping_the_source_ends_the_watch() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", &endpoints(1));
    let source = open(&scratch.root());
    let mut snapshots = source.subscribe();
    drop(source);
    let closed = async { while snapshots.changed().await.is_ok() {} };
    tokio::time::timeout(NEVER, closed)
        .await
        .expect("the thread lets go of its sender");
}
