//! From costs to scores.

/// Turns costs, all 0 or more, into scores: the least cost gets 1, and twice as much half of it.
/// `floor` is a difference of cost that does not matter.
pub(crate) fn costs_to_scores(out: &mut [f32], floor: f32) {
    let least = out.iter().copied().fold(f32::INFINITY, f32::min);
    for score in out {
        *score = (least + floor) / (*score + floor);
    }
}
