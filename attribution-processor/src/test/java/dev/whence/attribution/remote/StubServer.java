package dev.whence.attribution.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.whence.engine.Branch;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * Answers as SGLang, vLLM and llama-cpp-python do, with the log-probabilities of a model in this
 * process; and wrongly, where a test wants that.
 */
final class StubServer implements AutoCloseable {
  static final String MODEL = "acme/served";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final LocalScorer model;
  private final HttpServer http;
  private final ExecutorService threads = Executors.newCachedThreadPool();

  /** Requests so far, as they came. */
  final List<JsonNode> requests = Collections.synchronizedList(new ArrayList<>());

  final List<String> keys = Collections.synchronizedList(new ArrayList<>());

  /** What is done to a good answer before it is sent. */
  volatile UnaryOperator<ObjectNode> change = UnaryOperator.identity();

  /** The model that it says it serves. */
  volatile String served = MODEL;

  /** How many others it says it serves, too. */
  volatile int others;

  /** The begin token of the model's GGUF file, and whether that says to put it before texts. */
  volatile int begin;

  volatile boolean addsBegin;

  /** Requests that are answered with the status instead. */
  volatile int failures;

  volatile int failureStatus = 503;
  volatile long delayMillis;

  StubServer(LocalScorer model) throws IOException {
    this.model = model;
    this.begin = model.tokenizer().idOf("<|im_start|>");
    this.http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    http.setExecutor(threads);
    http.createContext("/generate", exchange -> score(exchange, this::sglang));
    http.createContext("/v1/completions", exchange -> score(exchange, this::completion));
    http.createContext(
        "/v1/models",
        exchange -> {
          ObjectNode models = JSON.createObjectNode();
          ArrayNode data = models.putArray("data");
          data.addObject().put("id", served);
          for (int i = 0; i < others; i++) {
            data.addObject().put("id", "acme/other-" + i);
          }
          send(exchange, 200, models.toString());
        });
    http.createContext(
        "/get_model_info",
        exchange ->
            send(exchange, 200, JSON.createObjectNode().put("model_path", served).toString()));
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
    return request.path("prompt").isTextual() ? llamaCpp(request) : vllm(request);
  }

  private ObjectNode vllm(JsonNode request) {
    ObjectNode answer = JSON.createObjectNode().put("model", served);
    ObjectNode choice = answer.putArray("choices").addObject();
    int[] ids = ids(request.path("prompt"));
    double[] logProbs = logProbs(ids);
    ArrayNode entries = choice.putArray("prompt_logprobs");
    entries.addNull();
    for (int i = 1; i < ids.length; i++) {
      ObjectNode entry = entries.addObject();
      entry.putObject(Integer.toString((ids[i] + 1) % 256)).put("logprob", -0.01);
      entry.putObject(Integer.toString(ids[i])).put("logprob", logProbs[i - 1]).put("rank", 2);
    }
    return answer;
  }

  /**
   * As version 0.3.36 of llama-cpp-python does: one list of tokens and one of rows, walked at the
   * same pace. Row i is what the model thinks of the token after prompt token i. With echo the
   * tokens are the prompt's, without a leading begin token, and the generated one, and the rows
   * begin with the first; without echo the generated one and the last row. Begin tokens are passed
   * over; the first entry of an echo is null.
   */
  private synchronized ObjectNode llamaCpp(JsonNode request) {
    int[] read = model.tokenizer().encode(request.path("prompt").asText()).ids();
    int[] prompt = addsBegin ? new int[read.length + 1] : read;
    if (addsBegin) {
      prompt[0] = begin;
      System.arraycopy(read, 0, prompt, 1, read.length);
    }
    boolean echo = request.path("echo").asBoolean();
    ObjectNode answer = JSON.createObjectNode().put("model", served);
    ObjectNode all = answer.putArray("choices").addObject().putObject("logprobs");
    ArrayNode texts = all.putArray("tokens");
    ArrayNode values = all.putArray("token_logprobs");
    ArrayNode tops = all.putArray("top_logprobs");
    answer.putObject("usage").put("prompt_tokens", prompt.length).put("completion_tokens", 1);
    try (Trunk trunk = model.trunk(prompt, 1)) {
      double[] last = row(trunk, prompt.length - 1);
      int generated = 0;
      for (int token = 1; token < last.length; token++) {
        generated = last[token] > last[generated] ? token : generated;
      }
      List<Integer> tokens = new ArrayList<>();
      if (echo) {
        Arrays.stream(prompt).skip(prompt[0] == begin ? 1 : 0).forEach(tokens::add);
      }
      tokens.add(generated);
      int firstRow = echo ? 0 : prompt.length - 1;
      for (int i = 0; i < tokens.size() && firstRow + i < prompt.length; i++) {
        int token = tokens.get(i);
        if (token == begin) {
          continue;
        }
        texts.add(piece(token));
        values.add(
            firstRow + i == prompt.length - 1
                ? last[token]
                : branch(trunk, firstRow + i, new int[] {token})[0]);
        ObjectNode top = tops.addObject();
        if (!echo) {
          IntStream.range(0, last.length)
              .boxed()
              .sorted(Comparator.comparingDouble(one -> -last[one]))
              .limit(request.path("logprobs").asInt())
              .forEach(one -> top.put(piece(one), last[one]));
        }
      }
      if (echo) {
        values.set(0, NullNode.getInstance());
      }
    }
    return answer;
  }

  /** The text of a token; control tokens have none. */
  private String piece(int token) {
    return model.tokenizer().decode(new int[] {token}, true);
  }

  /** What the model thinks of each token of its vocabulary behind prompt token {@code at}. */
  private double[] row(Trunk trunk, int at) {
    return branch(trunk, at, IntStream.range(0, model.tokenizer().vocabularySize()).toArray());
  }

  private double[] branch(Trunk trunk, int at, int[] next) {
    List<Branch> branches =
        Arrays.stream(next)
            .mapToObj(
                token ->
                    new Branch(
                        List.of(new View(0, at, 0)),
                        new int[] {trunk.tokens()[at], token},
                        new int[] {at, at + 1},
                        1))
            .toList();
    return model.score(trunk, branches).stream().mapToDouble(one -> one[0]).toArray();
  }

  /** Ends once nothing here uses the model any more: it may be another server's next. */
  @Override
  public void close() {
    http.stop(0);
    threads.shutdownNow();
    try {
      if (!threads.awaitTermination(30, TimeUnit.SECONDS)) {
        throw new IllegalStateException("a request is still answered");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
