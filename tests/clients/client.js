// Calls Watson services with the unmodified Node SDK, and says what its user sees.
//
// usage: client.js BASE_URL WAY PERSON
//
// WAY is how the calls name their customer: `labelled` by the header, `unlabelled` not at all, `derived` by what an
// application that knows no labels sends anyway (a user ID in the body of a message, a header of its own elsewhere).
// Each call is one line of JSON on standard output: its name, the status and the text that the SDK shows.
'use strict';

const { Readable } = require('stream');
const { BasicAuthenticator } = require('ibm-watson/auth');
const AssistantV1 = require('ibm-watson/assistant/v1');
const AssistantV2 = require('ibm-watson/assistant/v2');
const SpeechToTextV1 = require('ibm-watson/speech-to-text/v1');
const TextToSpeechV1 = require('ibm-watson/text-to-speech/v1');
const DiscoveryV2 = require('ibm-watson/discovery/v2');

const [base, way, person] = process.argv.slice(2);

// The same bytes as in program.rs, which compares their digest with what the service received.
const AUDIO = Buffer.from(Array.from({ length: 300000 }, (_, place) => (place * 31 + 7) % 251));

function service(Kind, prefix, options = {}) {
  const authenticator = new BasicAuthenticator({ username: 'apikey', password: 'KEY' });
  return new Kind({ authenticator, serviceUrl: base + prefix, ...options });
}

const assistantV1 = service(AssistantV1, '/assistant/api', { version: '2021-06-14' });
const assistantV2 = service(AssistantV2, '/assistant/api', { version: '2021-06-14' });
const speech = service(SpeechToTextV1, '/speech-to-text/api');
const voice = service(TextToSpeechV1, '/text-to-speech/api');
const discovery = service(DiscoveryV2, '/discovery/api', { version: '2020-08-30' });

const inBody = way === 'derived';
const naming = {
  labelled: { 'X-Watson-Metadata': `customer_id=${person}` },
  derived: { 'X-User-Id': person },
  unlabelled: {},
};
const headers = naming[way];
// What a message carries in its body when nothing in its head says whose it is.
const user = inBody ? { userId: person } : { headers };
const context = inBody ? { context: { metadata: { user_id: person } } } : { headers };

const inAssistant = { assistantId: 'as-1', environmentId: 'env-1' };
const greeting = { input: { message_type: 'text', text: 'hello' } };
const inModel = { customizationId: 'cu-1', headers };
const wav = { contentType: 'audio/wav', headers };

async function messageV2() {
  const session = await assistantV2.createSession(inAssistant);
  return assistantV2.message({ ...inAssistant, sessionId: session.result.session_id, ...greeting, ...user });
}

function recognizeChunked() {
  // The SDK sends a stream as Transfer-Encoding: chunked.
  const pieces = [];
  for (let start = 0; start < AUDIO.length; start += 70000) pieces.push(AUDIO.subarray(start, start + 70000));
  return speech.recognize({ audio: Readable.from(pieces, { objectMode: false }), ...wav });
}

async function synthesize() {
  const answer = await voice.synthesize({ text: 'hello', accept: 'audio/wav', headers });
  for await (const piece of answer.result) void piece; // the sound comes as a stream: read it to its end
  return answer;
}

function addDocument() {
  return discovery.addDocument({
    projectId: 'pr-1',
    collectionId: 'co-1',
    file: Buffer.from('{"text":"hello"}'),
    filename: 'a.json',
    fileContentType: 'application/json',
    headers,
  });
}

async function countLogs() {
  const answer = await assistantV1.listLogs({ workspaceId: 'ws-1', filter: `customer_id::${person}` });
  return { status: answer.status, text: `${answer.result.logs.length} logs` };
}

const CALLS = {
  message_v1: () => assistantV1.message({ workspaceId: 'ws-1', input: { text: 'hello' }, ...context }),
  message_v2: messageV2,
  message_v2_stateless: () => assistantV2.messageStateless({ ...inAssistant, ...greeting, ...user }),
  recognize: () => speech.recognize({ audio: AUDIO, ...wav }),
  recognize_chunked: recognizeChunked,
  add_corpus: () => speech.addCorpus({ ...inModel, corpusName: 'co-1', corpusFile: Buffer.from('one\ntwo\n') }),
  add_words: () => speech.addWords({ ...inModel, words: [{ word: 'HHonors' }] }),
  add_word: () => speech.addWord({ ...inModel, wordName: 'IEEE', soundsLike: ['i triple e'] }),
  synthesize,
  add_document: addDocument,
};
const AFTERWARDS = {
  logs_before: countLogs,
  delete_assistant: () => assistantV1.deleteUserData({ customerId: person }),
  logs_after: countLogs,
  // Customers whom nobody has heard of: such a delete goes to the addressed service and nowhere else.
  delete_awkward: () => assistantV2.deleteUserData({ customerId: 'a b+c/d&e' }),
  delete_speech: () => speech.deleteUserData({ customerId: 'nobody' }),
  delete_voice: () => voice.deleteUserData({ customerId: 'nobody' }),
  delete_discovery: () => discovery.deleteUserData({ customerId: 'nobody' }),
};

async function main() {
  const calls = way === 'unlabelled' ? CALLS : { ...CALLS, ...AFTERWARDS };
  for (const [call, run] of Object.entries(calls)) {
    let seen;
    try {
      const answer = await run();
      seen = { status: answer.status, text: answer.text || '' };
    } catch (error) {
      if (!error.status) throw error; // not an answer: a fault of this program, or no connection
      seen = { status: error.status, text: error.message };
    }
    console.log(JSON.stringify({ call, ...seen }));
  }
  process.exit(0); // a refused sound is a stream that nobody reads, which would keep Node waiting
}

main();
