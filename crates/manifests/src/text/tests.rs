use super::*;

#[test]
fn a_changed_text_is_told_and_one_that_cannot_be_read_is_not() {
    let directory = std::env::temp_dir().join(format!("plimsoll-text-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("picker.yaml");
    assert!(TextFile::open(&path).is_err());
    std::fs::write(&path, "one").unwrap();
    let file = TextFile::open(&path).unwrap();
    let mut texts = file.subscribe();
    assert_eq!(&**texts.borrow_and_update(), "one");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    std::fs::write(directory.join("next"), "two").unwrap();
    std::fs::rename(directory.join("next"), &path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(texts.changed()).unwrap();
    assert_eq!(&**texts.borrow_and_update(), "two");
    drop(file);
    std::fs::remove_dir_all(directory).unwrap();
}
