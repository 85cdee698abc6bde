"""Calls Watson services with the unmodified Python SDK, and says what its user sees.

usage: client.py BASE_URL WAY PERSON

WAY is how the calls name their customer: `labelled` by the header, `unlabelled` not at all, `derived` by what an
application that knows no labels sends anyway (a user ID in the body of a message, a header of its own elsewhere).
Each call is one line of JSON on standard output: its name, the status and the text that the SDK shows.
"""

import io
import json
import sys

import ibm_watson
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import BasicAuthenticator

BASE, WAY, PERSON = sys.argv[1:4]

# The same bytes as in program.rs, which compares their digest with what the service received.
AUDIO = bytes((place * 31 + 7) % 251 for place in range(300_000))
GREETING = {"message_type": "text", "text": "hello"}


def service(kind, prefix, **options):
    made = kind(authenticator=BasicAuthenticator("apikey", "KEY"), **options)
    made.set_service_url(BASE + prefix)
    return made


ASSISTANT_V1 = service(ibm_watson.AssistantV1, "/assistant/api", version="2021-06-14")
ASSISTANT_V2 = service(ibm_watson.AssistantV2, "/assistant/api", version="2021-06-14")
SPEECH = service(ibm_watson.SpeechToTextV1, "/speech-to-text/api")
VOICE = service(ibm_watson.TextToSpeechV1, "/text-to-speech/api")
DISCOVERY = service(ibm_watson.DiscoveryV2, "/discovery/api", version="2020-08-30")

if WAY == "labelled":
    HEADERS = {"X-Watson-Metadata": "customer_id=" + PERSON}
elif WAY == "derived":
    HEADERS = {"X-User-Id": PERSON}
else:
    HEADERS = {}
# What a message carries in its body when nothing in its head says whose it is.
IN_BODY = WAY == "derived"
MESSAGE_HEADERS = {} if IN_BODY else HEADERS


def message_v1():
    context = {"metadata": {"user_id": PERSON}} if IN_BODY else None
    return ASSISTANT_V1.message("ws-1", input={"text": "hello"}, context=context, headers=MESSAGE_HEADERS)


def message_v2():
    session = ASSISTANT_V2.create_session("as-1", "env-1").get_result()["session_id"]
    user = PERSON if IN_BODY else None
    return ASSISTANT_V2.message("as-1", "env-1", session, input=GREETING, user_id=user, headers=MESSAGE_HEADERS)


def message_v2_stateless():
    user = PERSON if IN_BODY else None
    return ASSISTANT_V2.message_stateless("as-1", "env-1", input=GREETING, user_id=user, headers=MESSAGE_HEADERS)


def recognize_chunked():
    # The SDK sends what a generator gives as Transfer-Encoding: chunked.
    pieces = (AUDIO[start:start + 70_000] for start in range(0, len(AUDIO), 70_000))
    return SPEECH.recognize(pieces, content_type="audio/wav", headers=HEADERS)


def add_document():
    return DISCOVERY.add_document(
        "pr-1", "co-1", file=io.BytesIO(b'{"text":"hello"}'), filename="a.json",
        file_content_type="application/json", headers=HEADERS)


def count_logs():
    found = ASSISTANT_V1.list_logs("ws-1", filter="customer_id::" + PERSON).get_result()["logs"]
    return f"{len(found)} logs"


CALLS = {
    "message_v1": message_v1,
    "message_v2": message_v2,
    "message_v2_stateless": message_v2_stateless,
    "recognize": lambda: SPEECH.recognize(AUDIO, content_type="audio/wav", headers=HEADERS),
    "recognize_chunked": recognize_chunked,
    "add_corpus": lambda: SPEECH.add_corpus("cu-1", "co-1", io.BytesIO(b"one\ntwo\n"), headers=HEADERS),
    "add_words": lambda: SPEECH.add_words("cu-1", [{"word": "HHonors"}], headers=HEADERS),
    "add_word": lambda: SPEECH.add_word("cu-1", "IEEE", sounds_like=["i triple e"], headers=HEADERS),
    "synthesize": lambda: VOICE.synthesize("hello", accept="audio/wav", headers=HEADERS),
    "add_document": add_document,
}
AFTERWARDS = {
    "logs_before": count_logs,
    "delete_assistant": lambda: ASSISTANT_V1.delete_user_data(PERSON),
    "logs_after": count_logs,
    # Customers whom nobody has heard of: such a delete goes to the addressed service and nowhere else.
    "delete_awkward": lambda: ASSISTANT_V2.delete_user_data("a b+c/d&e"),
    "delete_speech": lambda: SPEECH.delete_user_data("nobody"),
    "delete_voice": lambda: VOICE.delete_user_data("nobody"),
    "delete_discovery": lambda: DISCOVERY.delete_user_data("nobody"),
}


def report(name, call):
    try:
        answer = call()
    except ApiException as refused:
        seen = {"status": refused.status_code, "text": refused.message}
    else:
        is_text = isinstance(answer, str)
        seen = {"status": 200 if is_text else answer.get_status_code(), "text": answer if is_text else ""}
    print(json.dumps({"call": name, **seen}), flush=True)


for name, call in (CALLS if WAY == "unlabelled" else {**CALLS, **AFTERWARDS}).items():
    report(name, call)
