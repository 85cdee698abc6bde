// Calls Watson services with the JDK's own HTTP client, and says what its user sees.
//
// usage: java Client.java BASE_URL WAY PERSON
//
// WAY is how the calls name their customer: `labelled` by the header, `unlabelled` not at all, `derived` by what an
// application that knows no labels sends anyway (a user ID in the body of a message, a header of its own elsewhere).
// Each call is one line of JSON on standard output: its name, the status and the text of an answer that is no success.
// Nothing is set on the client: on a plain connection it asks to go on in HTTP/2 (`Upgrade: h2c`) with its first requests.

import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class Client {
    interface Call {
        HttpResponse<String> run() throws Exception;
    }

    static final HttpClient HTTP = HttpClient.newHttpClient();
    static final String V1 = "version=2021-06-14";
    static String base, way, person;

    // The same bytes as in program.rs, which compares their digest with what the service received.
    static byte[] audio() {
        byte[] all = new byte[300_000];
        for (int place = 0; place < all.length; place++) {
            all[place] = (byte) ((place * 31L + 7) % 251);
        }
        return all;
    }

    static HttpRequest.Builder to(String target) {
        String key = Base64.getEncoder().encodeToString("apikey:KEY".getBytes(StandardCharsets.UTF_8));
        return HttpRequest.newBuilder(URI.create(base + target)).header("Authorization", "Basic " + key);
    }

    static HttpRequest.Builder named(HttpRequest.Builder request, boolean inBody) {
        if (way.equals("labelled")) {
            return request.header("X-Watson-Metadata", "customer_id=" + person);
        }
        return way.equals("derived") && !inBody ? request.header("X-User-Id", person) : request;
    }

    static HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
        return HTTP.send(request.build(), BodyHandlers.ofString());
    }

    static HttpResponse<String> with(String method, String target, String type, BodyPublisher body, boolean inBody)
            throws Exception {
        return send(named(to(target), inBody).header("Content-Type", type).method(method, body));
    }

    // A message names its customer in its body when nothing in its head does.
    static HttpResponse<String> message(String target, String fields, String naming) throws Exception {
        String text = "{" + fields + (way.equals("derived") ? "," + naming : "") + "}";
        return with("POST", target, "application/json", BodyPublishers.ofString(text), true);
    }

    static HttpResponse<String> messageV2(String path) throws Exception {
        String greeting = "\"input\":{\"message_type\":\"text\",\"text\":\"hello\"}";
        return message("/assistant/api/v2/assistants/as-1/environments/env-1/" + path + "?" + V1, greeting,
            "\"user_id\":\"" + person + "\"");
    }

    static HttpResponse<String> messageInSession() throws Exception {
        HttpResponse<String> opened = send(to("/assistant/api/v2/assistants/as-1/environments/env-1/sessions?" + V1)
            .POST(BodyPublishers.noBody()));
        Matcher session = Pattern.compile("\"session_id\"\\s*:\\s*\"([^\"]+)\"").matcher(opened.body());
        if (!session.find()) {
            throw new IllegalStateException("no session: " + opened.statusCode() + " " + opened.body());
        }
        return messageV2("sessions/" + session.group(1) + "/message");
    }

    static HttpResponse<String> recognize(BodyPublisher sound) throws Exception {
        return with("POST", "/speech-to-text/api/v1/recognize", "audio/wav", sound, false);
    }

    static HttpResponse<String> teach(String method, String what, String type, String text) throws Exception {
        String target = "/speech-to-text/api/v1/customizations/cu-1/" + what;
        return with(method, target, type, BodyPublishers.ofString(text), false);
    }

    static HttpResponse<String> addDocument() throws Exception {
        String text = "--part\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n"
            + "Content-Type: application/json\r\n\r\n{\"text\":\"hello\"}\r\n--part--\r\n";
        return with("POST", "/discovery/api/v2/projects/pr-1/collections/co-1/documents?version=2020-08-30",
            "multipart/form-data; boundary=part", BodyPublishers.ofString(text), false);
    }

    static HttpResponse<String> delete(String service, String query, String id) throws Exception {
        // The encoder is one for forms, which write a space as a plus.
        String encoded = URLEncoder.encode(id, StandardCharsets.UTF_8).replace("+", "%20");
        return send(to("/" + service + "/user_data?" + query + "customer_id=" + encoded).DELETE());
    }

    static HttpResponse<String> logs() throws Exception {
        return send(to("/assistant/api/v1/workspaces/ws-1/logs?" + V1 + "&filter=customer_id%3A%3A" + person).GET());
    }

    static Map<String, Call> calls() {
        Map<String, Call> calls = new LinkedHashMap<>();
        calls.put("message_v1", () -> message("/assistant/api/v1/workspaces/ws-1/message?" + V1,
            "\"input\":{\"text\":\"hello\"}", "\"context\":{\"metadata\":{\"user_id\":\"" + person + "\"}}"));
        calls.put("message_v2", Client::messageInSession);
        calls.put("message_v2_stateless", () -> messageV2("message"));
        calls.put("recognize", () -> recognize(BodyPublishers.ofByteArray(audio())));
        // What comes from a stream is sent as Transfer-Encoding: chunked.
        calls.put("recognize_chunked",
            () -> recognize(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(audio()))));
        calls.put("add_corpus", () -> teach("POST", "corpora/co-1", "text/plain", "one\ntwo\n"));
        calls.put("add_words", () -> teach("POST", "words", "application/json", "{\"words\":[{\"word\":\"HHonors\"}]}"));
        calls.put("add_word", () -> teach("PUT", "words/IEEE", "application/json", "{\"sounds_like\":[\"i triple e\"]}"));
        calls.put("synthesize", () -> with("POST", "/text-to-speech/api/v1/synthesize", "application/json",
            BodyPublishers.ofString("{\"text\":\"hello\"}"), false));
        calls.put("add_document", Client::addDocument);
        return calls;
    }

    static Map<String, Call> afterwards() {
        Map<String, Call> calls = new LinkedHashMap<>();
        calls.put("logs_before", Client::logs);
        calls.put("delete_assistant", () -> delete("assistant/api/v1", V1 + "&", person));
        calls.put("logs_after", Client::logs);
        // Customers whom nobody has heard of: such a delete goes to the addressed service and nowhere else.
        calls.put("delete_awkward", () -> delete("assistant/api/v2", V1 + "&", "a b+c/d&e"));
        calls.put("delete_speech", () -> delete("speech-to-text/api/v1", "", "nobody"));
        calls.put("delete_voice", () -> delete("text-to-speech/api/v1", "", "nobody"));
        calls.put("delete_discovery", () -> delete("discovery/api/v2", "version=2020-08-30&", "nobody"));
        return calls;
    }

    static String quoted(String text) {
        StringBuilder all = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            all.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return all.append('"').toString();
    }

    // How many logs an answer lists: the members of its array that begin an object.
    static String counted(String body) {
        Matcher logs = Pattern.compile("\"log_id\"").matcher(body);
        return logs.results().count() + " logs";
    }

    public static void main(String[] arguments) throws Exception {
        base = arguments[0];
        way = arguments[1];
        person = arguments[2];
        Map<String, Call> calls = calls();
        if (!way.equals("unlabelled")) {
            calls.putAll(afterwards());
        }
        for (Map.Entry<String, Call> call : calls.entrySet()) {
            HttpResponse<String> answer = call.getValue().run();
            boolean isLogs = call.getKey().startsWith("logs_");
            String text = isLogs ? counted(answer.body()) : answer.statusCode() < 300 ? "" : answer.body();
            System.out.println("{\"call\":" + quoted(call.getKey()) + ",\"status\":" + answer.statusCode() + ",\"text\":"
                + quoted(text) + "}");
        }
    }
}
