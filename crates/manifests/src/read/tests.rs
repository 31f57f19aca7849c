use super::*;
use crate::source::tests::Scratch;

fn names(sources: &[Source]) -> Vec<String> {
    let name = |source: &Source| {
        Path::new(&*source.path)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    sources.iter().filter_map(name).collect()
}

#[test]
fn directories_give_their_manifests_in_order() {
    let scratch = Scratch::new();
    for name in [
        "b.yaml",
        "a.yml",
        "c.json",
        "d.txt",
        ".hidden.yaml",
        "kustomization.yaml",
        "e.yaml~",
        "sub/f.yaml",
    ] {
        scratch.write(name, "a: b");
    }
    fs::create_dir(scratch.path("dir.yaml")).expect("directory");
    let sources = read(&[scratch.root()]).expect("reads");
    assert_eq!(names(&sources), ["a.yml", "b.yaml", "c.json"]);
}

#[test]
fn a_named_file_is_read_whatever_its_name_and_once() {
    let scratch = Scratch::new();
    scratch.write("b.yaml", "a: b");
    scratch.write("d.txt", "a: b");
    let paths = [
        scratch.path("d.txt"),
        scratch.root(),
        scratch.path("b.yaml"),
        scratch.path("d.txt"),
    ];
    assert_eq!(names(&read(&paths).expect("reads")), ["d.txt", "b.yaml"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    let gone = scratch.path("gone.yaml");
    let error = read(std::slice::from_ref(&gone)).expect_err("gone");
    assert!(
        matches!(&error, SourceError::Read { path, .. } if *path == gone),
        "{error}"
    );

    std::os::unix::fs::symlink("nowhere.yaml", scratch.path("link.yaml")).expect("link");
    let error = read(&[scratch.root()])
        .expect_err("dangling link")
        .to_string();
    assert!(error.contains("link.yaml"), "{error}");
    fs::remove_file(scratch.path("link.yaml")).expect("removed");

    fs::write(scratch.path("binary.yaml"), b"\xff\xfe").expect("written");
    let error = read(&[scratch.root()]).expect_err("binary").to_string();
    assert!(error.contains("binary.yaml is not valid UTF-8"), "{error}");
}

#[test]
fn large_files_are_refused() {
    let scratch = Scratch::new();
    let file = fs::File::create(scratch.path("big.yaml")).expect("created");
    file.set_len(MAX_FILE_BYTES).expect("sized");
    assert!(read(&[scratch.root()]).is_ok());
    file.set_len(MAX_FILE_BYTES + 1).expect("sized");
    let error = read(&[scratch.root()]).expect_err("too large").to_string();
    assert!(error.contains("big.yaml is too large"), "{error}");
}
