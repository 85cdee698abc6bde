// Dictates to Watson services and lets them speak over WebSockets, with the unmodified Node SDK.
//
// usage: dictation.js BASE_URL WAY PERSON
//
// WAY is `labelled` by the option xWatsonMetadata, which becomes part of the query, `unlabelled`, `derived` by a header
// of the application's own, or `erased`: Speech to Text is told to delete the customer's data. Each call is one line of
// JSON on standard output: its name, the status and the text that the SDK shows. What came to its proper end has status
// 200; of a handshake that is refused this SDK shows neither status nor body, which has status 0.
'use strict';

const { Readable } = require('stream');
const { BasicAuthenticator } = require('ibm-watson/auth');
const SpeechToTextV1 = require('ibm-watson/speech-to-text/v1');
const TextToSpeechV1 = require('ibm-watson/text-to-speech/v1');

const [base, way, person] = process.argv.slice(2);

// The same bytes as in websocket.rs, which compares their digest with what the service received.
const SOUND = Buffer.from(Array.from({ length: 30000 }, (_, place) => (place * 31 + 7) % 251));

function service(Kind, prefix) {
  const authenticator = new BasicAuthenticator({ username: 'apikey', password: 'KEY' });
  return new Kind({ authenticator, serviceUrl: base + prefix });
}

const speech = service(SpeechToTextV1, '/speech-to-text/api');
const voice = service(TextToSpeechV1, '/text-to-speech/api');

const naming = {
  labelled: { xWatsonMetadata: `customer_id=${person}` },
  derived: { headers: { 'X-User-Id': person } },
  unlabelled: {},
}[way];

// What a stream gives until its WebSocket is closed.
function outcome(stream) {
  return new Promise((resolve) => {
    let text = '';
    let error;
    stream.on('data', (piece) => { text += piece.toString('latin1', 0, 6); });
    stream.on('error', (raised) => { error = raised; });
    stream.on('close', (code) => resolve(error ? { status: 0, text: error.message } : { status: code === 1000 ? 200 : 0, text }));
  });
}

function recognize() {
  const stream = speech.recognizeUsingWebSocket({ contentType: 'audio/wav', ...naming });
  const pieces = Array.from({ length: 3 }, (_, place) => SOUND.subarray(place * 10000, (place + 1) * 10000));
  Readable.from(pieces, { objectMode: false }).pipe(stream);
  return outcome(stream);
}

function synthesize() {
  return outcome(voice.synthesizeUsingWebSocket({ text: 'hello', accept: 'audio/wav', ...naming }));
}

async function erase() {
  const answer = await speech.deleteUserData({ customerId: person });
  return { status: answer.status, text: '' };
}

async function main() {
  for (const [call, run] of Object.entries(way === 'erased' ? { erase } : { recognize, synthesize })) {
    console.log(JSON.stringify({ call, ...(await run()) }));
  }
  process.exit(0); // the SDK may leave sockets open that would keep Node waiting
}

main();
