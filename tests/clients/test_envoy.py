"""Endpoint picker and body-based router behind a real Envoy, with real clients."""

import concurrent.futures
import http.client
import json
import socket
import threading
import time

import grpc
import openai
import pytest
from conftest import ADAPTERS, MODEL, until
from envoy import EXAMPLES, Envoy, picker, port_of, router

MESSAGES = [{"role": "user", "content": "Where does a Plimsoll line sit?"}]


@pytest.fixture
def house(stack):
    """Starts pickers, routers and Envoys that end with the test, after the simulated servers."""
    started = []

    class House:
        sims = staticmethod(stack.sims)

        def keep(self, started_process):
            started.append(started_process)
            return started_process

    yield House()
    for process in reversed(started):
        process.stop()


def client_of(envoy, max_retries=0):
    return openai.OpenAI(base_url=envoy.url + "/v1", api_key="unused", max_retries=max_retries)


def usual(house, count=2, *arguments, sims=("--time-scale", "20")):
    """Servers, a picker over them, and Envoy in front."""
    servers = house.sims(count, *sims)
    epp = house.keep(picker(servers.urls, *arguments)).until_scraped(count)
    envoy = house.keep(Envoy("picker.yaml", {9002: epp.port}))
    return servers, epp, envoy


def test_answers_that_tell_nothing_are_not_shown_to_the_picker(house):
    servers = house.sims(1, "--time-scale", "20")
    epp = house.keep(picker(servers.urls)).until_scraped(1)
    envoy = house.keep(Envoy("picker-spare.yaml", {9002: epp.port}))
    client = client_of(envoy)
    shown = lambda: envoy.stat("http.clients.ext_proc.stream_msgs_sent")

    def stream(**more):
        before = shown()
        events = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=60, stream=True, **more))
        assert len(events) > 50
        return shown() - before

    # First the picker learns how fast the server is; then it lets all but a few answers pass unseen.
    until(lambda: stream() < 5, "an answer that is not shown")
    assert stream(stream_options={"include_usage": True}) > 10, "token counts are always read"
    until(lambda: epp.in_flight() == 0, "the reservations to be given back")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_streamed_chat_with_usage(house):
    _, epp, envoy = usual(house)
    stream = client_of(envoy).chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=30, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content) >= 10
    assert chunks[-1].usage.completion_tokens == 30
    until(lambda: epp.in_flight() == 0, "the reservation to be given back")
    decision = json.loads(epp.get("/debug/decisions?limit=1"))["decisions"][0]
    assert decision["outcome"]["output_tokens"] == 30
    assert decision["outcome"]["ending"] == "completed"


def test_a_whole_answer_and_its_usage(house):
    _, epp, envoy = usual(house)
    answer = client_of(envoy).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=5)
    assert answer.usage.completion_tokens == 5
    assert answer.model == MODEL

    def told():
        decision = json.loads(epp.get("/debug/decisions?limit=1"))["decisions"][0]
        return decision["outcome"] and decision["outcome"]["output_tokens"]

    assert until(told, "the outcome") == 5


def test_a_prompt_of_five_megabytes(house):
    # The server's context is too short for it, so it refuses; what counts is that every byte reached it.
    _, epp, envoy = usual(house, 1)
    prompt = "The mark on the hull shows how much load a ship can carry. " * 90_000
    with pytest.raises(openai.BadRequestError) as raised:
        client_of(envoy).completions.create(model=MODEL, prompt=prompt, max_tokens=1)
    assert "context" in str(raised.value)
    decision = json.loads(epp.get("/debug/decisions?limit=1"))["decisions"][0]
    assert decision["prompt_tokens_estimate"] > 1_000_000
    until(lambda: epp.in_flight() == 0, "the reservation to be given back")


def test_two_hundred_streams_at_once(house):
    _, epp, envoy = usual(house, 4)

    def one(number):
        stream = client_of(envoy).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": f"question {number}"}], max_tokens=40, stream=True
        )
        return sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        counts = list(pool.map(one, range(200)))
    assert min(counts) >= 10
    until(lambda: epp.in_flight() == 0, "all reservations to be given back")
    used = {d["outcome"]["served"] for d in json.loads(epp.get("/debug/decisions?limit=200"))["decisions"]}
    assert len(used) == 4, "all servers took part"


def test_the_model_in_the_body_chooses_the_pool(house):
    llama, other = house.sims(1, "--time-scale", "20"), house.sims(1, "--time-scale", "20")
    bbr = house.keep(router("-f", str(EXAMPLES / "models.yaml")))
    first = house.keep(picker(llama.urls)).until_scraped(1)
    second = house.keep(picker(other.urls))
    envoy = house.keep(
        Envoy("router-and-pickers.yaml", {9002: first.port, 9012: second.port, 9004: bbr.port})
    )
    client = client_of(envoy)
    for model in [MODEL, *ADAPTERS]:
        answer = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, max_tokens=2)
        assert answer.headers["x-route"] == "llama"
    assert len(json.loads(first.get("/debug/decisions"))["decisions"]) == 3
    # Nobody serves it, so the server behind the other pool says 404; the route was the right one.
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="other-model", messages=MESSAGES, max_tokens=2)
    assert raised.value.response.headers["x-route"] == "other"
    assert len(json.loads(second.get("/debug/decisions"))["decisions"]) == 1
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="unknown", messages=MESSAGES, max_tokens=2)
    assert raised.value.code == "model_not_found"
    # A client cannot choose the route by sending the router's headers itself.
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(
            model="unknown", messages=MESSAGES, extra_headers={"x-gateway-base-model-name": MODEL}
        )
    assert raised.value.code == "model_not_found"


def test_without_a_picker_requests_fail_where_they_must(house):
    servers, epp, envoy = usual(house)
    client = client_of(envoy)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    epp.process.kill()
    epp.process.wait()
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)


def test_without_a_picker_requests_go_on_where_they_may(house):
    servers = house.sims(2, "--time-scale", "20")
    epp = house.keep(picker(servers.urls)).until_scraped(2)
    ports = {8001: port_of(servers.urls[0]), 8002: port_of(servers.urls[1]), 9002: epp.port}
    envoy = house.keep(Envoy("picker-fail-open.yaml", ports))
    client = client_of(envoy)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    assert len(json.loads(epp.get("/debug/decisions"))["decisions"]) == 1
    epp.process.kill()
    epp.process.wait()
    # A request whose body was already on its way to the picker when it died would fail: Envoy keeps no copy.
    until(lambda: envoy.stat("cluster.picker.upstream_cx_active") == 0, "Envoy to see that the picker is gone")
    for _ in range(4):
        assert client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)


def test_a_dead_first_choice_is_served_by_the_second_and_the_books_follow(house):
    servers = house.sims(1, "--time-scale", "20")
    dead = free_port()
    alive = port_of(servers.urls[0])
    epp = house.keep(picker([f"http://127.0.0.1:{dead}", servers.urls[0]], "--fallbacks", "2"))
    envoy = house.keep(Envoy("picker-fallback.yaml", {8001: dead, 8002: alive, 9002: epp.port}))
    client = client_of(envoy)
    for number in range(6):
        messages = [{"role": "user", "content": f"question {number}"}]
        assert client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    until(lambda: epp.in_flight() == 0, "the reservations to be given back")
    served = [d["outcome"]["served"] for d in json.loads(epp.get("/debug/decisions"))["decisions"]]
    assert len(served) == 6
    assert all(str(alive) in name for name in served), served


def test_a_subset_confines_the_choice(house):
    servers = house.sims(3, "--time-scale", "20")
    epp = house.keep(picker(servers.urls)).until_scraped(3)
    allowed = port_of(servers.urls[1])
    envoy = house.keep(Envoy("picker-subset.yaml", {9002: epp.port, 8001: allowed}))
    for number in range(8):
        messages = [{"role": "user", "content": f"question {number}"}]
        assert client_of(envoy).chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    served = {d["outcome"]["served"] for d in json.loads(epp.get("/debug/decisions"))["decisions"]}
    assert len(served) == 1 and str(allowed) in served.pop()


def test_a_subset_without_members_is_a_503(house):
    servers = house.sims(1)
    epp = house.keep(picker(servers.urls))
    envoy = house.keep(Envoy("picker-subset.yaml", {9002: epp.port, 8001: free_port()}))
    with pytest.raises(openai.InternalServerError) as raised:
        client_of(envoy).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert raised.value.status_code == 503
    assert raised.value.response.headers["x-llm-d-request-dropped-reason"] == "rejected-no-endpoints"
    assert raised.value.response.text.startswith("inference error: ServiceUnavailable - ")


def test_errors_in_the_clients_shape_reach_the_user(house):
    _, _, envoy = usual(house, 1, "--error-format", "api")
    with pytest.raises(openai.BadRequestError) as raised:
        client_of(envoy).chat.completions.create(model=MODEL, messages=[])
    assert "messages" in raised.value.message


def test_a_request_that_ends_in_trailers(house):
    _, epp, envoy = usual(house, 1)
    body = json.dumps({"model": MODEL, "prompt": "hello", "max_tokens": 2}).encode()
    connection = socket.create_connection(("127.0.0.1", port_of(envoy.url)), timeout=10)
    head = (
        "POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        "transfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n"
    )
    connection.sendall(head.encode() + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nx-checksum: 1\r\n\r\n")
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert response.status == 200
    assert json.loads(response.read())["choices"]
    connection.close()
    assert len(json.loads(epp.get("/debug/decisions"))["decisions"]) == 1


def test_a_request_without_a_body_is_sent_on(house):
    servers, epp, envoy = usual(house)
    assert {model.id for model in client_of(envoy).models.list()} >= {MODEL}
    until(lambda: epp.in_flight() == 0, "the reservation to be given back")


def test_a_500_of_a_model_server_is_counted(house):
    servers, epp, envoy = usual(house, 1)
    servers.faults(servers.urls[0], error_rate=1.0)
    with pytest.raises(openai.InternalServerError):
        client_of(envoy).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    until(lambda: epp.metric("plimsoll_model_server_answers_total", status="5xx") == 1, "the error to be counted")


def test_a_client_that_leaves_frees_its_reservation(house):
    _, epp, envoy = usual(house, 1, sims=("--time-scale", "1"))
    stream = client_of(envoy).chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    assert epp.in_flight() == 1
    stream.close()
    until(lambda: epp.in_flight() == 0, "the reservation to be given back")


def test_a_picker_that_restarts_under_load(house):
    servers = house.sims(2, "--time-scale", "20")
    port = free_port()
    epp = house.keep(picker(servers.urls, port=port)).until_scraped(2)
    envoy = house.keep(Envoy("picker.yaml", {9002: port}))
    stop = threading.Event()
    outcomes = []

    def drive():
        client = client_of(envoy, max_retries=8)
        while not stop.is_set():
            client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
            outcomes.append(time.monotonic())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        drivers = [pool.submit(drive) for _ in range(8)]
        until(lambda: len(outcomes) > 40, "some answers")
        epp.process.terminate()
        assert epp.process.wait() == 0, "a picker that is asked to stop ends well"
        again = house.keep(picker(servers.urls, port=port))
        restarted = time.monotonic()
        until(lambda: sum(1 for at in outcomes if at > restarted) > 40, "answers after the restart")
        stop.set()
        for driver in drivers:
            driver.result()
    until(lambda: again.in_flight() == 0, "all reservations to be given back")


def test_a_peer_that_speaks_clear_text_is_told_apart(house):
    servers = house.sims(1)
    epp = house.keep(picker(servers.urls))
    with socket.create_connection(("127.0.0.1", epp.port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass
    until(lambda: any("--secure-serving=false" in line for line in epp.process.errors), "advice in the log")


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """A field of a Protocol Buffers message: a number, or text."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


class GrpcEngine:
    """Answers vLLM's `Generate` as an engine does: one chunk a token, then the counts."""

    TOKENS = 5

    def __init__(self):
        self.seen = []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        handler = grpc.unary_stream_rpc_method_handler(self.generate)
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("vllm.grpc.engine.VllmEngine", {"Generate": handler}),)
        )
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def generate(self, request, context):
        self.seen.append(request)
        for token in range(self.TOKENS):
            # chunk { token_ids: [token] }
            yield field(1, field(1, varint(token + 1)))
        # complete { prompt_tokens: 7, completion_tokens: TOKENS, cached_tokens: 4 }
        yield field(2, field(3, 7) + field(4, self.TOKENS) + field(5, 4))

    def stop(self):
        self.server.stop(0)


def test_grpc_traffic_is_read_and_passes_whole(house):
    engine = house.keep(GrpcEngine())
    config = str(EXAMPLES / "picker-grpc-config.yaml")
    epp = house.keep(picker([f"http://127.0.0.1:{engine.port}"], "--config-file", config))
    envoy = house.keep(Envoy("picker-grpc.yaml", {9002: epp.port}))
    # request_id, text, stream
    request = field(1, b"r1") + field(3, b"The mark on the hull " * 40) + field(5, 1)
    with grpc.insecure_channel(envoy.url.removeprefix("http://")) as channel:
        generate = channel.unary_stream("/vllm.grpc.engine.VllmEngine/Generate")
        answers = list(generate(request, timeout=20))
    assert engine.seen == [request], "the message reaches the engine as it was sent"
    assert len(answers) == GrpcEngine.TOKENS + 1

    def told():
        outcome = json.loads(epp.get("/debug/decisions?limit=1"))["decisions"][0]["outcome"]
        return outcome and outcome["output_tokens"] and outcome

    outcome = until(told, "the outcome")
    assert (outcome["prompt_tokens"], outcome["output_tokens"], outcome["cached_tokens"]) == (7, 5, 4)
    until(lambda: epp.in_flight() == 0, "the reservation to be given back")
    assert json.loads(epp.get("/debug/decisions?limit=1"))["decisions"][0]["prompt_blocks"] > 0


def test_bytes_that_are_no_grpc_message_are_refused(house):
    engine = house.keep(GrpcEngine())
    config = str(EXAMPLES / "picker-grpc-config.yaml")
    epp = house.keep(picker([f"http://127.0.0.1:{engine.port}"], "--config-file", config))
    envoy = house.keep(Envoy("picker-grpc.yaml", {9002: epp.port}))
    with grpc.insecure_channel(envoy.url.removeprefix("http://")) as channel:
        generate = channel.unary_stream("/vllm.grpc.engine.VllmEngine/Generate")
        with pytest.raises(grpc.RpcError):
            list(generate(b"\xff\xff\xff", timeout=20))
    assert engine.seen == []
