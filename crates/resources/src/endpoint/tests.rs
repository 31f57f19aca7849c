use super::*;

#[test]
fn flags_are_read() {
    let cases = [
        (
            "http://10.0.0.1:8000",
            Scheme::Http,
            "10.0.0.1",
            8000,
            "default/10.0.0.1:8000",
        ),
        (
            "http://10.0.0.1",
            Scheme::Http,
            "10.0.0.1",
            80,
            "default/10.0.0.1:80",
        ),
        (
            "https://gpu.example/",
            Scheme::Https,
            "gpu.example",
            443,
            "default/gpu.example:443",
        ),
        (
            "http://[::1]:8000",
            Scheme::Http,
            "::1",
            8000,
            "default/[::1]:8000",
        ),
        (
            "http://localhost:1,name=gpu-0",
            Scheme::Http,
            "localhost",
            1,
            "default/gpu-0",
        ),
        (
            "http://localhost:1,name=ns/gpu-0",
            Scheme::Http,
            "localhost",
            1,
            "ns/gpu-0",
        ),
    ];
    for (flag, scheme, host, port, name) in cases {
        let endpoint = EndpointSpec::parse_flag(flag).expect(flag);
        let got = (
            endpoint.scheme,
            &*endpoint.host,
            endpoint.port,
            &*endpoint.name,
        );
        assert_eq!(got, (scheme, host, port, name), "{flag}");
        assert!(endpoint.ready && endpoint.rank == 0);
    }
    let endpoint =
        EndpointSpec::parse_flag("http://h:1,labels=app=vllm;tier=a=b;,name=x").expect("flag");
    let labels: Vec<_> = endpoint
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(labels, [("app", "vllm"), ("tier", "a=b")]);
    assert_eq!(endpoint.authority(), "h:1");
    let six = EndpointSpec::parse_flag("http://[fe80::1]:9").expect("flag");
    assert_eq!(six.authority(), "[fe80::1]:9");
}

#[test]
fn bad_flags_say_what_would_be_right() {
    let cases = [
        ("10.0.0.1:8000", "no scheme"),
        ("ftp://h:1", "no scheme"),
        ("http://", "neither an IP address nor a DNS name"),
        ("http://h:0", "want a number from 1 to 65535"),
        ("http://h:65536", "want a number from 1 to 65535"),
        ("http://h:", "want a number from 1 to 65535"),
        ("http://h/v1", "want `scheme://host:port` only"),
        ("http://user@h", "want `scheme://host:port` only"),
        ("http://[::1", "neither an IP address nor a DNS name"),
        ("http://::1:80", "neither an IP address nor a DNS name"),
        ("http://a b", "neither an IP address nor a DNS name"),
        (
            "http://*.example.com",
            "neither an IP address nor a DNS name",
        ),
        ("http://h,lables=a=b", "want `name=NAME` or `labels="),
        ("http://h,labels=a", "want `key=value`"),
        ("http://h,name=a/b/c", "want `name` or `namespace/name`"),
        ("http://h,name=", "want `name` or `namespace/name`"),
    ];
    for (flag, want) in cases {
        let message = EndpointSpec::parse_flag(flag).expect_err(flag).to_string();
        assert!(message.contains(want), "{flag}: {message}");
    }
}
