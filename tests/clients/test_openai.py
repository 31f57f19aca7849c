"""The `openai` package against the gateway."""

import asyncio

import openai
import pytest
from conftest import ADAPTERS, MODEL, until

MESSAGES = [{"role": "user", "content": "Where does a Plimsoll line sit?"}]


@pytest.fixture(scope="module")
def client(served):
    return openai.OpenAI(base_url=served.openai_url, api_key="unused", max_retries=0)


def test_chat(client):
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=12)
    assert answer.model == MODEL
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens == 12
    assert answer._request_id, "x-request-id must reach the user"


def test_streaming_with_usage(client):
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert chunks[-1].usage.completion_tokens == 12
    assert chunks[-1].usage.prompt_tokens > 0


def test_a_repeated_long_prompt_hits_the_prefix_cache(client):
    messages = [{"role": "user", "content": "the same long preamble " * 400}]
    first = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    second = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    # Like vLLM, the server says null where nothing was cached.
    assert not first.usage.prompt_tokens_details or first.usage.prompt_tokens_details.cached_tokens < 100
    assert second.usage.prompt_tokens_details.cached_tokens > 1000, "the gateway must send it to the pod that has it"


def test_completions_and_embeddings(client):
    completion = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=5)
    assert completion.choices[0].text
    embedding = client.embeddings.create(model=MODEL, input=["one", "two"])
    assert len(embedding.data) == 2


def test_models_are_listed_and_retrieved(client):
    assert {MODEL, *ADAPTERS} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(ADAPTERS[0]).id == ADAPTERS[0]
    with pytest.raises(openai.NotFoundError, match="not served here"):
        client.models.retrieve("org/none")


def test_adapters_are_models(client):
    assert client.chat.completions.create(model=ADAPTERS[0], messages=MESSAGES, max_tokens=2).model == ADAPTERS[0]


def test_an_unknown_model_is_told_to_the_user(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert "no-such-model" in raised.value.message


def test_a_missing_field_is_told_to_the_user(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", body={"model": MODEL}, cast_to=object)
    assert "messages" in raised.value.message
    assert raised.value.request_id


def test_an_unknown_path_is_told_to_the_user(client):
    with pytest.raises(openai.NotFoundError):
        client.post("/no/such/path", body={"model": MODEL}, cast_to=object)


def test_fifty_concurrent_streams(served):
    async def one(client, number):
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": f"question {number}"}], max_tokens=40, stream=True
        )
        return len([chunk async for chunk in stream if chunk.choices and chunk.choices[0].delta.content])

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=served.openai_url, api_key="unused", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(50)))

    lengths = asyncio.run(all_of_them())
    assert len(lengths) == 50 and all(length > 0 for length in lengths)
    until(lambda: served.in_flight() == 0, "all reservations to be free")


def test_a_disconnected_client_frees_its_reservation(stack):
    sims = stack.sims(1)
    gateway = stack.gateway(sims.urls)
    client = openai.OpenAI(base_url=gateway.openai_url, api_key="unused", max_retries=0)
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
    )
    # The iterator must stay alive: the SDK closes the connection with it.
    events = iter(stream)
    next(events)
    assert gateway.in_flight() == 1
    stream.close()
    until(lambda: gateway.in_flight() == 0, "the reservation to be free")
    until(lambda: gateway.metric("plimsoll_gateway_requests_total", result="client_cancelled") == 1, "the count")


def test_a_stream_read_to_its_end_is_not_a_cancellation(stack):
    sims = stack.sims(1, "--time-scale", "20")
    gateway = stack.gateway(sims.urls)
    client = openai.OpenAI(base_url=gateway.openai_url, api_key="unused", max_retries=0)
    for _ in range(5):
        assert list(client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=5, stream=True))
    until(lambda: gateway.metric("plimsoll_gateway_requests_total", result="completed") == 5, "five completions")
    assert gateway.metric("plimsoll_gateway_requests_total", result="client_cancelled") == 0
