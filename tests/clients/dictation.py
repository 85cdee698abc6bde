"""Dictates to Watson services and lets them speak over WebSockets, with the unmodified Python SDK.

usage: dictation.py BASE_URL WAY PERSON

WAY is `labelled` by a header, the only way that this SDK knows, `unlabelled`, `derived` by a header of the
application's own, or `erased`: Speech to Text is told to delete the customer's data. Each call is one line of JSON on
standard output: its name, the status and the text that the SDK shows. What came to its proper end has status 200.
"""

import io
import json
import re
import sys

import ibm_watson
from ibm_cloud_sdk_core.authenticators import BasicAuthenticator
from ibm_watson.websocket import AudioSource, RecognizeCallback, SynthesizeCallback

BASE, WAY, PERSON = sys.argv[1:4]

# The same bytes as in websocket.rs, which compares their digest with what the service received.
SOUND = bytes((place * 31 + 7) % 251 for place in range(30_000))

HEADERS = {
    "labelled": {"X-Watson-Metadata": "customer_id=" + PERSON},
    "derived": {"X-User-Id": PERSON},
}.get(WAY, {})


def service(kind, prefix, scheme="ws"):
    made = kind(authenticator=BasicAuthenticator("apikey", "KEY"))
    # The SDK makes wss: of https:, but leaves http: as it is, so that a plain WebSocket needs ws: here.
    made.set_service_url(BASE.replace("http", scheme, 1) + prefix)
    return made


class Told:
    """What the callbacks of one WebSocket tell its user."""

    def __init__(self):
        super().__init__()
        self.text, self.error = "", None

    def on_error(self, error):
        # The end of a sound is told as an error too: the service closes with code 1000.
        if "code 1000" not in str(error):
            self.error = str(error)

    def seen(self):
        if self.error is None:
            return {"status": 200, "text": self.text}
        status = re.match(r"Handshake status (\d+)", self.error)
        return {"status": int(status[1]) if status else 0, "text": self.error}


class Heard(Told, RecognizeCallback):
    def on_transcription(self, transcript):
        self.text += transcript[0][0]["transcript"]


class Spoken(Told, SynthesizeCallback):
    def on_audio_stream(self, audio_stream):
        self.text += audio_stream[:4].decode()


def recognize():
    heard = Heard()
    service(ibm_watson.SpeechToTextV1, "/speech-to-text/api").recognize_using_websocket(
        AudioSource(io.BytesIO(SOUND)), "audio/wav", heard, model="en-US_Multimedia", headers=HEADERS)
    return heard.seen()


def synthesize():
    spoken = Spoken()
    service(ibm_watson.TextToSpeechV1, "/text-to-speech/api").synthesize_using_websocket(
        "hello", spoken, accept="audio/wav", voice="en-US_AllisonV3Voice", headers=HEADERS)
    return spoken.seen()


def erase():
    speech = service(ibm_watson.SpeechToTextV1, "/speech-to-text/api", "http")
    return {"status": speech.delete_user_data(PERSON).get_status_code(), "text": ""}


for name, call in ({"erase": erase} if WAY == "erased" else {"recognize": recognize, "synthesize": synthesize}).items():
    print(json.dumps({"call": name, **call()}), flush=True)
