"""What clients see when model servers fail, stall, or die."""

import concurrent.futures
import json
import threading
import time

import anthropic
import openai
import pytest
from conftest import MODEL, until

MESSAGES = [{"role": "user", "content": "Where does a Plimsoll line sit?"}]


def openai_client(gateway, max_retries=0):
    return openai.OpenAI(base_url=gateway.openai_url, api_key="unused", max_retries=max_retries)


def test_a_503_of_one_server_is_served_by_another(stack):
    sims = stack.sims(2, "--time-scale", "20")
    gateway = stack.gateway(sims.urls)
    sims.faults(sims.urls[0], unavailable=True)
    client = openai_client(gateway)
    for number in range(8):
        messages = [{"role": "user", "content": f"question {number}"}]
        assert client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2).choices


def test_sdks_retry_a_503_until_the_servers_are_back(stack):
    sims = stack.sims(1, "--time-scale", "20")
    gateway = stack.gateway(sims.urls)
    sims.faults(sims.urls[0], unavailable=True)
    with pytest.raises(openai.InternalServerError) as raised:
        openai_client(gateway).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    assert raised.value.status_code == 503

    def heal_after_the_first_try():
        until(lambda: gateway.metric("plimsoll_model_server_answers_total", status="5xx") >= 2, "a failed try")
        sims.faults(sims.urls[0], unavailable=False)

    healer = threading.Thread(target=heal_after_the_first_try)
    healer.start()
    answer = openai_client(gateway, max_retries=5).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    healer.join()
    assert answer.choices


def test_sdks_wait_out_a_429(stack):
    sims = stack.sims(1)
    gateway = stack.gateway(sims.urls, "--max-requests", "1")
    held = openai_client(gateway).chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
    )
    events = iter(held)
    next(events)
    with pytest.raises(openai.RateLimitError) as raised:
        openai_client(gateway).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    assert raised.value.code == "too_many_requests"
    with pytest.raises(anthropic.RateLimitError):
        anthropic.Anthropic(base_url=gateway.url, api_key="unused", max_retries=0).messages.create(
            model=MODEL, messages=MESSAGES, max_tokens=2
        )

    def let_go_after_the_first_try():
        until(lambda: gateway.metric("plimsoll_gateway_requests_total", result="too_many_requests") >= 3, "a refusal")
        held.close()

    letting_go = threading.Thread(target=let_go_after_the_first_try)
    letting_go.start()
    answer = openai_client(gateway, max_retries=5).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    letting_go.join()
    assert answer.choices


def test_a_stream_cut_by_its_server_raises_in_both_sdks(stack):
    sims = stack.sims(1, "--time-scale", "20")
    gateway = stack.gateway(sims.urls)
    sims.faults(sims.urls[0], cut_stream_after=5)
    with pytest.raises(openai.APIError, match="broke|before the answer was complete"):
        list(openai_client(gateway).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=50, stream=True))
    client = anthropic.Anthropic(base_url=gateway.url, api_key="unused", max_retries=0)
    with pytest.raises(anthropic.APIError, match="broke|before the answer was complete"):
        with client.messages.stream(model=MODEL, messages=MESSAGES, max_tokens=50) as stream:
            stream.until_done()


def test_no_server_left_is_a_clear_error(stack):
    sims = stack.sims(1)
    gateway = stack.gateway(sims.urls)
    sims.process.kill()
    sims.process.wait()
    with pytest.raises(openai.InternalServerError) as raised:
        openai_client(gateway).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
    assert "endpoint" in raised.value.message


def test_killing_a_server_under_load_loses_no_request_without_a_first_byte(stack):
    doomed, surviving = stack.sims(1), stack.sims(1)
    gateway = stack.gateway(doomed.urls + surviving.urls).until_scraped(2)
    killed = threading.Event()
    results = []

    def one(number):
        """Streams an answer; tells whether content had arrived before an error."""
        client = openai_client(gateway)
        begun = False
        try:
            messages = [{"role": "user", "content": f"{number} " * 3000}]
            for chunk in client.chat.completions.create(model=MODEL, messages=messages, max_tokens=150, stream=True):
                begun = begun or bool(chunk.choices and chunk.choices[0].delta.content)
            return ("whole", begun)
        except openai.APIError as error:
            return ("broken", begun, str(error))

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        futures = [pool.submit(one, number) for number in range(120)]
        until(lambda: sum(future.done() for future in futures) >= 5, "some answers")
        on_doomed = lambda: max(
            (e["inflight_before_first_token"] for pool in json.loads(gateway.get("/debug/endpoints"))["pools"].values()
             for e in pool if e["address"] in doomed.urls[0]), default=0)
        until(lambda: on_doomed() > 0, "requests without a first token on the server to be killed")
        doomed.process.kill()
        killed.set()
        results = [future.result() for future in futures]
    lost = [result for result in results if result[0] == "broken" and not result[1]]
    assert not lost, lost[:3]
    assert sum(result[0] == "whole" for result in results) > 60
    assert gateway.metric("plimsoll_model_server_attempts_failed_total") > 0, "the kill must have hit requests"
    until(lambda: gateway.in_flight() == 0, "all reservations to be free")


def test_sigterm_lets_streams_finish_and_refuses_new_ones(stack):
    sims = stack.sims(1)
    gateway = stack.gateway(sims.urls)
    stream = openai_client(gateway).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=100, stream=True, extra_body={"ignore_eos": True})
    events = iter(stream)
    next(events)
    gateway.process.terminate()

    def refused():
        try:
            openai_client(gateway).chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2)
        except openai.APIError:
            return True
        return False

    until(refused, "new requests to be refused")
    assert len(list(events)) > 10, "the stream under way must finish"
    assert gateway.process.wait() == 0
