use proptest::prelude::*;

use super::*;

#[test]
fn chunks_are_kept_as_they_came() {
    let chunks = [
        Bytes::from_static(b"ab"),
        Bytes::from_static(b""),
        Bytes::from_static(b"cde"),
    ];
    let body = Body::from(chunks.to_vec());
    assert_eq!(body.len(), 5);
    assert_eq!(body.chunks().len(), 2);
    assert_eq!(body.chunks()[1].as_ptr(), chunks[2].as_ptr());
    assert!(Body::new().is_empty());
    assert_eq!(Body::from(Bytes::new()).chunks().len(), 0);
}

#[test]
fn clones_do_not_change_each_other() {
    let mut body = Body::from(Bytes::from_static(b"ab"));
    let clone = body.clone();
    body.push(Bytes::from_static(b"cd"));
    assert_eq!((clone.len(), body.len()), (2, 4));
}

#[test]
fn tiny_chunks_do_not_cost_many_times_their_size() {
    let source = Bytes::from(vec![b'x'; 100_000]);
    let mut body = Body::new();
    for at in 0..source.len() {
        body.push(source.slice(at..=at));
    }
    assert_eq!(body.len(), source.len());
    assert!(body.chunks().len() < MANY + 2 * source.len() / GATHERED + 2);
    assert_eq!(body.chunks().concat(), source);
}

#[test]
fn a_clone_held_while_gathering_stays_as_it_was() {
    let mut body = Body::new();
    let mut expected = Vec::new();
    for step in 0..200_u8 {
        let before = body.clone();
        body.push(Bytes::copy_from_slice(&[step; 3]));
        assert_eq!(before.chunks().concat(), expected);
        expected.extend_from_slice(&[step; 3]);
        assert_eq!(body.chunks().concat(), expected);
    }
}

proptest! {
    #[test]
    fn slices_are_what_a_flat_body_gives(
        sizes in prop::collection::vec(0usize..2000, 0..40),
        from in 0usize..3000,
        len in 0usize..3000,
    ) {
        let total: usize = sizes.iter().sum();
        let flat: Vec<u8> = (0..total).map(|at| at as u8).collect();
        let mut body = Body::new();
        let mut at = 0;
        for size in sizes {
            body.push(Bytes::copy_from_slice(&flat[at..at + size]));
            at += size;
        }
        prop_assert_eq!(body.len(), total);
        let expected = &flat[from.min(total)..(from + len).min(total)];
        let slices: Vec<&[u8]> = body.slice(from..from + len).collect();
        prop_assert!(slices.iter().all(|slice| !slice.is_empty()));
        prop_assert_eq!(slices.concat(), expected);
        let shared: Vec<Bytes> = body.share(from..from + len).collect();
        prop_assert_eq!(shared.concat(), expected);
    }
}
