"""The `anthropic` package against the gateway."""

import anthropic
import pytest
from conftest import MODEL

MESSAGES = [{"role": "user", "content": "Where does a Plimsoll line sit?"}]


@pytest.fixture(scope="module")
def client(served):
    return anthropic.Anthropic(base_url=served.url, api_key="unused", max_retries=0)


def test_message(client):
    answer = client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=12)
    assert answer.model == MODEL
    assert answer.content[0].text
    assert answer.usage.output_tokens == 12


def test_streaming(client):
    with client.messages.stream(model=MODEL, messages=MESSAGES, max_tokens=12, system="Be brief.") as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text
    assert final.usage.output_tokens == 12
    assert final.usage.input_tokens > 0


def test_errors_reach_the_user_in_anthropics_shape(client):
    with pytest.raises(anthropic.BadRequestError) as raised:
        client.post("/v1/messages", body={"model": MODEL, "max_tokens": 5}, cast_to=object)
    assert raised.value.body["type"] == "error"
    assert raised.value.body["error"]["type"] == "invalid_request_error"
    assert "messages" in raised.value.body["error"]["message"]


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="no-such-model", messages=MESSAGES, max_tokens=5)
