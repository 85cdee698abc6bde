// Makes vectors.json: tokens of every algorithm, signed by another implementation than the gate's (Node's crypto).
// node tests/spec/tokens/mint.mjs > tests/spec/tokens/vectors.json

import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { constants } from "node:crypto";

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const claims = { iss: "https://issuer.test", sub: "u-1", aud: ["other", "gate"], nbf: 1600000000, exp: 4102444800 };

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const ed = generateKeyPairSync("ed25519");
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const fixed = { dsaEncoding: "ieee-p1363" };

const algorithms = {
  RS256: ["rsa", rsa, "sha256", {}],
  RS384: ["rsa", rsa, "sha384", {}],
  RS512: ["rsa", rsa, "sha512", {}],
  PS256: ["rsa", rsa, "sha256", pss],
  PS384: ["rsa", rsa, "sha384", pss],
  PS512: ["rsa", rsa, "sha512", pss],
  ES256: ["p256", p256, "sha256", fixed],
  ES384: ["p384", p384, "sha384", fixed],
  EdDSA: ["ed", ed, null, {}],
};

const tokens = {};
for (const [alg, [kid, pair, hash, options]] of Object.entries(algorithms)) {
  const signed = `${encoded({ alg, kid, typ: "JWT" })}.${encoded(claims)}`;
  const signature = sign(hash, Buffer.from(signed), { key: pair.privateKey, ...options });
  tokens[alg] = `${signed}.${signature.toString("base64url")}`;
}

// The classic confusion: the public key, which everybody has, as a shared secret.
const secret = rsa.publicKey.export({ type: "spki", format: "pem" });
const signed = `${encoded({ alg: "HS256", kid: "rsa", typ: "JWT" })}.${encoded(claims)}`;
const hs256 = `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;

const jwk = (kid, pair) => ({ ...pair.publicKey.export({ format: "jwk" }), kid, use: "sig" });
const keys = [jwk("rsa", rsa), jwk("p256", p256), jwk("p384", p384), jwk("ed", ed)];
console.log(JSON.stringify({ keys: { keys }, tokens, hs256 }, null, 1));
