use super::*;

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

fn read(api: Api, body: &[u8]) -> Result<Facts, BodyError> {
    let mut request = GrpcRequest::new(api);
    for chunk in body.chunks(3) {
        request.feed(chunk);
    }
    request.finish()
}

#[test]
fn text_and_stream_flag_of_a_generate_request() {
    let body = framed(b"\x1a\x0btest-stream(\x01");
    let facts = read(Api::VllmGrpcGenerate, &body).unwrap();
    assert!(facts.stream);
    assert_eq!(facts.model, None);
    assert_eq!(&body[facts.prompt[0].range.clone()], b"test-stream");
}

#[test]
fn token_ids_go_before_the_text_they_were_made_of() {
    // tokenized { original_text: "hi", input_ids: [1, 300] }
    let body = framed(b"\x12\x09\x0a\x02hi\x12\x03\x01\xac\x02");
    for api in [Api::VllmGrpcGenerate, Api::VllmGrpcEmbed] {
        let facts = read(api, &body).unwrap();
        assert_eq!(facts.token_ids, Some(2));
        assert_eq!(&body[facts.prompt[0].range.clone()], b"\x01\xac\x02");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut compressed = framed(b"\x1a\x01x");
    compressed[0] = 1;
    for (body, what) in [
        (b"plain text not grpc payload style".to_vec(), "whole"),
        (framed(b"\x1a\x05test")[..8].to_vec(), "whole"),
        (compressed, "compressed"),
        (framed(b"\x1a\xff"), "path asks for"),
        (framed(b"\x1a\x02\xff\xfe"), "path asks for"),
        (framed(b""), "must hold"),
        (Vec::new(), "whole"),
    ] {
        let error = read(Api::VllmGrpcGenerate, &body).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn counts_and_first_content_of_answers_however_they_are_cut() {
    let mut answer = framed(b"\x0a\x09\x0a\x03\x01\x02\x03\x10\x07\x18\x01");
    answer.extend(framed(b"\x12\x08\x0a\x00\x18\x07\x20\x0a\x28\x04"));
    for size in 1..answer.len() {
        let mut tap = GrpcTap::new(Api::VllmGrpcGenerate);
        let progress: Vec<_> = answer.chunks(size).map(|chunk| tap.push(chunk)).collect();
        assert_eq!(progress.iter().filter(|p| p.first_content).count(), 1);
        assert_eq!(progress.iter().map(|p| p.events).sum::<u32>(), 2);
        let usage = tap.usage().unwrap();
        assert_eq!(usage.prompt_tokens, Some(7), "{size}");
        assert_eq!(usage.output_tokens, Some(10));
        assert_eq!(usage.cached_tokens, Some(4));
    }
}

#[test]
fn embeddings_tell_their_prompt_tokens() {
    let mut tap = GrpcTap::new(Api::VllmGrpcEmbed);
    tap.push(&framed(b"\x0a\x04\0\0\0\0\x10\x09\x18\x01"));
    assert_eq!(tap.usage().unwrap().prompt_tokens, Some(9));
}

#[test]
fn a_frame_too_large_to_keep_passes_unread_and_the_next_one_is_read() {
    let mut tap = GrpcTap::new(Api::VllmGrpcGenerate);
    let mut answer = framed(&vec![0; 2 * MAX_EVENT_BYTES]);
    answer.extend(framed(b"\x12\x04\x18\x07\x20\x0a"));
    for chunk in answer.chunks(60_000) {
        tap.push(chunk);
        assert!(tap.carry.len() <= MAX_EVENT_BYTES + 60_000);
    }
    assert_eq!(tap.usage().unwrap().output_tokens, Some(10));
}
