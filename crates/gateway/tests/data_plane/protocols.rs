//! HTTP/1.1 and HTTP/2, in clear text and over TLS, on both sides.

use crate::support::client::request;
use crate::support::manifests::{self, one_pool, one_service};
use crate::support::tls::Authority;
use crate::support::{CHAT, Client, House, Upstream, chat, empty, full, get, post};
use http::{Response, Version};

#[tokio::test]
async fn http1_and_h2c_on_one_port() {
    let mut upstream = Upstream::named("hello").await;
    let house = House::start(&one_service(&[upstream.port], ""));
    for (mut client, version) in [
        (Client::http1(house.http()).await, Version::HTTP_11),
        (Client::h2c(house.http()).await, Version::HTTP_2),
    ] {
        let got = client.ask(post("/x?y=1", "body")).await;
        assert_eq!((got.status.as_u16(), got.version), (200, version));
        assert_eq!(got.text(), "hello");
        let seen = upstream.seen().await;
        assert_eq!(seen.head.version, Version::HTTP_11);
        assert_eq!(seen.head.uri, "/x?y=1");
        assert_eq!((seen.header("host"), seen.text()), ("a.example", "body"));
    }
}

#[tokio::test]
async fn a_pool_of_h2c_servers() {
    let mut upstream = Upstream::named("hello").await;
    let yaml = [
        manifests::http(),
        manifests::pool_with("chat", &[upstream.port], ", appProtocol: kubernetes.io/h2c"),
        manifests::route(&format!(
            "{{backendRefs: [{}]}}",
            manifests::to_pool("chat")
        )),
    ]
    .concat();
    let house = House::start(&yaml);
    let mut client = Client::http1(house.http()).await;
    let got = client.ask(post(CHAT, chat("m"))).await;
    assert_eq!(got.text(), "hello");
    let seen = upstream.seen().await;
    assert_eq!(seen.head.version, Version::HTTP_2);
    // RFC 9113 §8.3.1: `:authority` takes the place of `Host`, and the client's host is preserved.
    assert_eq!(seen.head.uri.authority().unwrap(), "a.example");
    assert!(!seen.head.headers.contains_key("host"));
}

#[tokio::test]
async fn https_servers_of_an_own_authority_by_their_own_protocol() {
    let authority = Authority::new();
    let file = std::env::temp_dir().join(format!("plimsoll-authority-{}.pem", std::process::id()));
    std::fs::write(&file, authority.pem()).unwrap();
    for (offered, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let certificate = authority.certificate(&["127.0.0.1"]);
        let mut upstream = Upstream::tls(certificate.server(&[offered]), |_| {
            Response::new(full("hello"))
        })
        .await;
        let yaml = [
            manifests::http(),
            manifests::service_with("web", &[upstream.port], ", appProtocol: https"),
            manifests::route("{backendRefs: [{name: web, port: 80}]}"),
        ]
        .concat();
        let options = gateway::Options {
            trust: gateway::UpstreamTrust::File(file.clone()),
            ..crate::support::house::options()
        };
        let house = House::with(&yaml, lifecycle::Settings::default(), options);
        let mut client = Client::http1(house.http()).await;
        let got = client.ask(post("/x", "body")).await;
        assert_eq!(got.text(), "hello", "{version:?}");
        let seen = upstream.seen().await;
        assert_eq!(seen.head.version, version);
        let host = match seen.head.uri.authority() {
            Some(authority) => authority.as_str(),
            None => seen.header("host"),
        };
        assert_eq!(host, "a.example", "{version:?}");
        assert!(version == Version::HTTP_11 || !seen.head.headers.contains_key("host"));

        // The machine's own authorities do not know this certificate.
        let house = House::start(&yaml);
        let got = Client::http1(house.http()).await.ask(get("/x")).await;
        assert_eq!(got.header("x-plimsoll-reason"), "upstream_unreachable");
    }
    std::fs::remove_file(file).unwrap();
}

fn two_listeners(authority: &Authority, port: u16, names: [&str; 2]) -> (String, [Vec<u8>; 2]) {
    let [a, b] = names.map(|name| authority.certificate(&[name]));
    let yaml = [
        manifests::gateway(
            "{name: a, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: a}]}}, \
             {name: b, port: 443, protocol: HTTPS, hostname: '*.b.example', tls: {certificateRefs: [{name: b}]}}",
        ),
        manifests::secret("a", &a),
        manifests::secret("b", &b),
        manifests::service("web", &[port]),
        manifests::route("{backendRefs: [{name: web, port: 80}]}"),
    ]
    .concat();
    (yaml, [a.der().to_vec(), b.der().to_vec()])
}

#[tokio::test]
async fn tls_with_alpn_and_the_certificate_of_the_named_listener() {
    let authority = Authority::new();
    let mut upstream = Upstream::named("hello").await;
    let (yaml, shown) = two_listeners(&authority, upstream.port, ["a.example", "x.b.example"]);
    let house = House::start(&yaml);
    let address = house.address(443);
    for (offer, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        for (name, shown) in [("a.example", &shown[0]), ("x.b.example", &shown[1])] {
            let mut client = Client::tls(address, name, authority.client(offer))
                .await
                .unwrap();
            assert_eq!(client.certificate.as_deref(), Some(&shown[..]));
            let mut request = get("/");
            request.headers_mut().insert("host", name.parse().unwrap());
            let got = client.ask(request).await;
            assert_eq!((got.version, got.text()), (version, "hello"));
            assert_eq!(upstream.seen().await.header("x-forwarded-proto"), "https");
        }
    }
    // No listener has this name, so there is no certificate to show.
    assert!(
        Client::tls(address, "c.example", authority.client(&[]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let authority = Authority::new();
    let upstream = Upstream::named("hello").await;
    let (yaml, old) = two_listeners(&authority, upstream.port, ["a.example", "x.b.example"]);
    let house = House::start(&yaml);
    let address = house.address(443);
    let connect = async || {
        Client::tls(address, "a.example", authority.client(&["http/1.1"]))
            .await
            .unwrap()
    };
    let mut early = connect().await;
    assert_eq!(early.certificate.as_deref(), Some(&old[0][..]));

    let (yaml, new) = two_listeners(&authority, upstream.port, ["a.example", "x.b.example"]);
    house.apply(&yaml).unwrap();
    assert_eq!(house.address(443), address, "the port stays");
    let mut late = connect().await;
    assert_eq!(late.certificate.as_deref(), Some(&new[0][..]));
    assert_ne!(old[0], new[0]);
    for client in [&mut early, &mut late] {
        assert_eq!(client.ask(get("/")).await.text(), "hello");
    }

    // Material that cannot be used changes nothing.
    let foreign = authority.certificate(&["a.example"]).key_pem;
    let own = yaml.split("tls.key: ").nth(1).unwrap().split('}').next();
    let broken = yaml.replace(own.unwrap(), &format!("{foreign:?}"));
    assert!(house.apply(&broken).is_err());
    assert_eq!(connect().await.certificate.as_deref(), Some(&new[0][..]));
}

#[tokio::test]
async fn connections_to_model_servers_are_kept_and_reused() {
    let upstream = Upstream::named("hello").await;
    let house = House::start(&one_pool(&[upstream.port], ""));
    for _ in 0..20 {
        // A new client connection each time: what is reused is the one behind the gateway.
        let mut client = Client::http1(house.http()).await;
        let got = client.ask(post(CHAT, chat("m"))).await;
        assert_eq!(got.text(), "hello");
    }
    // The last one may still be on its way back when the next request comes: a second, but not one for each.
    assert!(upstream.opened() <= 3, "{} connections", upstream.opened());
}

#[tokio::test]
async fn one_client_connection_carries_many_requests() {
    let upstream = Upstream::named("hello").await;
    let house = House::start(&one_service(&[upstream.port], ""));
    let mut client = Client::http1(house.http()).await;
    for _ in 0..3 {
        assert_eq!(client.ask(post("/", "x")).await.text(), "hello");
    }
    // RFC 9110 §9.3.2: the answer to HEAD is the answer to GET without its content.
    let got = client.ask(request("HEAD", "/", &[], empty())).await;
    assert_eq!((got.header("content-length"), got.text()), ("5", ""));
    assert_eq!(client.ask(get("/")).await.text(), "hello");
    assert_eq!(house.gateway.tasks(), 2, "one port, one connection");
}
