package dev.whence.attribution.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.UnaryOperator;

/**
 * Answers as SGLang, vLLM and llama-cpp-python do, with the log-probabilities of a model in this
 * process; and wrongly, where a test wants that.
 */
final class StubServer implements AutoCloseable {
  static final String MODEL = "acme/served";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final LocalScorer model;
  private final HttpServer http;
  private final ExecutorService threads = Executors.newFixedThreadPool(4);

  /** Requests so far, as they came. */
  final List<JsonNode> requests = Collections.synchronizedList(new ArrayList<>());

  final List<String> keys = Collections.synchronizedList(new ArrayList<>());

  /** What is done to a good answer before it is sent. */
  volatile UnaryOperator<ObjectNode> change = UnaryOperator.identity();

  /** Requests that are answered with the status instead. */
  volatile int failures;

  volatile int failureStatus = 503;
  volatile long delayMillis;

  StubServer(LocalScorer model) throws IOException {
    this.model = model;
    this.http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    http.setExecutor(threads);
    http.createContext("/generate", exchange -> score(exchange, this::sglang));
    http.createContext("/v1/completions", exchange -> score(exchange, this::completion));
    http.createContext(
        "/v1/models",
        exchange -> {
          ObjectNode models = JSON.createObjectNode();
          models.putArray("data").addObject().put("id", MODEL);
          send(exchange, 200, models.toString());
        });
    http.createContext(
        "/get_model_info",
        exchange ->
            send(exchange, 200, JSON.createObjectNode().put("model_path", MODEL).toString()));
    http.start();
  }

  URI url() {
    return URI.create("http://127.0.0.1:" + http.getAddress().getPort());
  }

  private void score(
      HttpExchange exchange, java.util.function.Function<JsonNode, ObjectNode> answer)
      throws IOException {
    JsonNode request = JSON.readTree(exchange.getRequestBody());
    requests.add(request);
    keys.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
    try {
      Thread.sleep(delayMillis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    boolean fails;
    synchronized (this) {
      fails = failures > 0;
      failures -= fails ? 1 : 0;
    }
    if (fails) {
      send(exchange, failureStatus, "{\"error\": \"the prompt was: SECRET\"}");
    } else {
      send(exchange, 200, change.apply(answer.apply(request)).toString());
    }
  }

  private static void send(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    try (var out = exchange.getResponseBody()) {
      out.write(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private synchronized double[] logProbs(int[] tokens) {
    try (Trunk trunk = model.trunk(tokens, 1)) {
      return trunk.logProbs();
    }
  }

  private static int[] ids(JsonNode array) {
    int[] ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = array.get(i).asInt();
    }
    return ids;
  }

  /** The first token from logprob_start_len on has none. */
  private ObjectNode sglang(JsonNode request) {
    int[] ids = ids(request.path("input_ids"));
    int from = request.path("logprob_start_len").asInt();
    double[] logProbs = logProbs(ids);
    ObjectNode answer = JSON.createObjectNode().put("text", "x");
    ObjectNode meta = answer.putObject("meta_info").put("prompt_tokens", ids.length);
    ArrayNode entries = meta.putArray("input_token_logprobs");
    for (int i = from; i < ids.length; i++) {
      ArrayNode entry = entries.addArray();
      if (i == from) {
        entry.addNull();
      } else {
        entry.add(logProbs[i - 1]);
      }
      entry.add(ids[i]).addNull();
    }
    return answer;
  }

  private ObjectNode completion(JsonNode request) {
    ObjectNode answer = JSON.createObjectNode().put("model", MODEL);
    ObjectNode choice = answer.putArray("choices").addObject();
    if (request.path("echo").asBoolean()) {
      int[] ids = model.tokenizer().encode(request.path("prompt").asText()).ids();
      double[] logProbs = logProbs(ids);
      ObjectNode all = choice.putObject("logprobs");
      ArrayNode tokens = all.putArray("tokens");
      ArrayNode values = all.putArray("token_logprobs");
      for (int i = 0; i < ids.length; i++) {
        tokens.add(model.tokenizer().decode(new int[] {ids[i]}, false));
        if (i == 0) {
          values.addNull();
        } else {
          values.add(logProbs[i - 1]);
        }
      }
      tokens.add(" generated");
      values.add(-0.1);
      answer.putObject("usage").put("prompt_tokens", ids.length);
    } else {
      int[] ids = ids(request.path("prompt"));
      double[] logProbs = logProbs(ids);
      ArrayNode entries = choice.putArray("prompt_logprobs");
      entries.addNull();
      for (int i = 1; i < ids.length; i++) {
        ObjectNode entry = entries.addObject();
        entry.putObject(Integer.toString((ids[i] + 1) % 256)).put("logprob", -0.01);
        entry.putObject(Integer.toString(ids[i])).put("logprob", logProbs[i - 1]).put("rank", 2);
      }
    }
    return answer;
  }

  @Override
  public void close() {
    http.stop(0);
    threads.shutdownNow();
  }
}
