use super::*;
use crate::source::tests::Scratch;
use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind, RenameMode};
use std::os::unix::fs::symlink;

#[test]
fn reading_is_no_change() {
    let changes = [
        EventKind::Any,
        EventKind::Create(CreateKind::File),
        EventKind::Remove(RemoveKind::File),
        EventKind::Modify(ModifyKind::Data(DataChange::Any)),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)),
        EventKind::Access(AccessKind::Close(AccessMode::Write)),
    ];
    assert!(changes.iter().all(is_change));
    let others = [
        EventKind::Access(AccessKind::Open(AccessMode::Any)),
        EventKind::Access(AccessKind::Read),
        EventKind::Access(AccessKind::Close(AccessMode::Read)),
    ];
    assert!(!others.iter().any(is_change));
}

#[test]
fn every_directory_on_the_way_is_watched() {
    let scratch = Scratch::new();
    scratch.write("real/deep/a.yaml", "a: b");
    scratch.write("..1/b.yaml", "a: b");
    symlink("..1", scratch.path("..data")).expect("link");
    symlink("..data/b.yaml", scratch.path("b.yaml")).expect("link");
    symlink("real/deep/a.yaml", scratch.path("a.yaml")).expect("link");
    let root = std::fs::canonicalize(scratch.root()).expect("root");
    let found: BTreeSet<PathBuf> = directories(&[scratch.root()])
        .iter()
        .filter_map(|directory| std::fs::canonicalize(directory).ok())
        .collect();
    for part in ["", "real/deep", "..1"] {
        assert!(found.contains(&root.join(part)), "`{part}` in {found:?}");
    }
    assert!(
        found.contains(root.parent().expect("parent")),
        "the directory itself may be replaced"
    );
}

#[test]
fn a_name_without_directory_is_in_the_current_one() {
    assert!(directories(&[PathBuf::from("gone.yaml")]).contains(Path::new(".")));
}

#[test]
fn links_in_a_circle_come_to_an_end() {
    let scratch = Scratch::new();
    symlink("b.yaml", scratch.path("a.yaml")).expect("link");
    symlink("a.yaml", scratch.path("b.yaml")).expect("link");
    assert!(!directories(&[scratch.path("a.yaml")]).is_empty());
}
