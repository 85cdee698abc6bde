// Dictates to Watson services and lets them speak over WebSockets, with the JDK's own client.
//
// usage: java Dictation.java BASE_URL WAY PERSON
//
// WAY is `labelled` by a header, `unlabelled`, `derived` by a header of the application's own, or `erased`: Speech to Text is
// told to delete the customer's data. Each call is one line of JSON on standard output: its name, the status and the text.
// What came to its proper end has status 200.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Dictation {
    record Seen(int status, String text) {}

    static final HttpClient HTTP = HttpClient.newHttpClient();
    static final String KEY =
        "Basic " + Base64.getEncoder().encodeToString("apikey:KEY".getBytes(StandardCharsets.UTF_8));
    static String base, way, person;

    // The same bytes as in websocket.rs, which compares their digest with what the service received.
    static byte[] sound() {
        byte[] all = new byte[30_000];
        for (int place = 0; place < all.length; place++) {
            all[place] = (byte) ((place * 31L + 7) % 251);
        }
        return all;
    }

    // What one WebSocket tells its user. A sound is sent once the service listens; its end is said once it is sent. The JDK's
    // client refuses what is sent while something else is being sent, and the service may answer before the client says that
    // its question is out: so each piece follows the one before.
    static class Heard implements WebSocket.Listener {
        final CompletableFuture<Seen> outcome = new CompletableFuture<>();
        final byte[] sound;
        final StringBuilder text = new StringBuilder();
        final StringBuilder message = new StringBuilder();
        final CompletableFuture<WebSocket> begun = new CompletableFuture<>();
        CompletableFuture<WebSocket> sent = begun;
        boolean isSent;

        Heard(byte[] sound) {
            this.sound = sound;
        }

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
            message.append(data);
            socket.request(1);
            if (!last) {
                return null;
            }
            String whole = message.toString();
            message.setLength(0);
            Matcher transcript = Pattern.compile("\"transcript\"\\s*:\\s*\"([^\"]*)\"").matcher(whole);
            if (transcript.find()) {
                text.append(transcript.group(1));
            }
            if (whole.contains("\"listening\"")) {
                listening(socket);
            }
            return null;
        }

        // Called by the client's listener only, which is called for one message at a time.
        void listening(WebSocket socket) {
            if (isSent) {
                then(open -> open.sendClose(WebSocket.NORMAL_CLOSURE, ""));
                return;
            }
            isSent = true;
            int third = sound.length / 3;
            for (int place = 0; place < 3; place++) {
                ByteBuffer piece = ByteBuffer.wrap(sound, place * third, third);
                then(open -> open.sendBinary(piece, true));
            }
            then(open -> open.sendText("{\"action\":\"stop\"}", true));
        }

        // What cannot be sent is the outcome.
        void then(Function<WebSocket, CompletableFuture<WebSocket>> piece) {
            sent = sent.thenCompose(piece);
            sent.whenComplete((open, error) -> {
                if (error != null) {
                    outcome.complete(new Seen(0, String.valueOf(error)));
                }
            });
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
            if (text.length() == 0) {
                byte[] first = new byte[Math.min(4, data.remaining())];
                data.get(first);
                text.append(new String(first, StandardCharsets.ISO_8859_1));
            }
            socket.request(1);
            return null;
        }

        // The end is told once the answer to it is out (an error here means that it was out before): the program ends at once.
        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            Seen seen = new Seen(code == WebSocket.NORMAL_CLOSURE ? 200 : 0, text.toString());
            return socket.sendClose(code, "").handle((open, error) -> outcome.complete(seen));
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            outcome.complete(new Seen(0, String.valueOf(error)));
        }
    }

    static Seen talk(String target, String first, byte[] sound) {
        WebSocket.Builder builder = HTTP.newWebSocketBuilder().header("Authorization", KEY);
        if (way.equals("labelled")) {
            builder.header("X-Watson-Metadata", "customer_id=" + person);
        } else if (way.equals("derived")) {
            builder.header("X-User-Id", person);
        }
        Heard heard = new Heard(sound);
        try {
            WebSocket socket = builder.buildAsync(URI.create(base.replaceFirst("http", "ws") + target), heard).join();
            socket.sendText(first, true).join();
            heard.begun.complete(socket);
            return heard.outcome.join();
        } catch (CompletionException refused) {
            if (refused.getCause() instanceof WebSocketHandshakeException handshake) {
                return new Seen(handshake.getResponse().statusCode(), String.valueOf(handshake.getResponse().body()));
            }
            throw refused;
        }
    }

    static Seen erase() throws Exception {
        URI target = URI.create(base + "/speech-to-text/api/v1/user_data?customer_id=" + person);
        HttpRequest request = HttpRequest.newBuilder(target).header("Authorization", KEY).DELETE().build();
        return new Seen(HTTP.send(request, BodyHandlers.ofString()).statusCode(), "");
    }

    static String quoted(String text) {
        StringBuilder all = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            all.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return all.append('"').toString();
    }

    static void say(String call, Seen seen) {
        System.out.println("{\"call\":" + quoted(call) + ",\"status\":" + seen.status() + ",\"text\":" + quoted(seen.text())
            + "}");
    }

    public static void main(String[] arguments) throws Exception {
        base = arguments[0];
        way = arguments[1];
        person = arguments[2];
        if (way.equals("erased")) {
            say("erase", erase());
        } else {
            say("recognize", talk("/speech-to-text/api/v1/recognize?model=en-US_Multimedia",
                "{\"action\":\"start\",\"content-type\":\"audio/wav\"}", sound()));
            say("synthesize", talk("/text-to-speech/api/v1/synthesize?voice=en-US_AllisonV3Voice",
                "{\"text\":\"hello\",\"accept\":\"audio/wav\"}", new byte[0]));
        }
        System.exit(0); // the client's threads live on for a while
    }
}
