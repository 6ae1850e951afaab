package dev.whence.attribution.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * llama-cpp-python: {@code POST /v1/completions} with {@code echo}. It takes text, not ids, and
 * what it says of a prompt depends on the model's begin token (read from its {@code llama.py},
 * version 0.3.36):
 *
 * <ul>
 *   <li>A model whose GGUF file says so gets that token put before every text.
 *   <li>A prompt that begins with it is answered without it, and only so does each token stand
 *       beside its log-probability. In the answer to any other prompt, token i stands beside what
 *       the model thought of it after having read it: a number that looks like a log-probability,
 *       and is none of the prompt.
 *   <li>The begin token has no entry wherever else it stands, as in chats whose turns begin with
 *       it, but is counted in {@code usage}.
 * </ul>
 *
 * {@link #prove} finds out which of these holds, by an answer that is known to be right: what the
 * server thinks of the next token, asked without {@code echo}. Every later answer must be of the
 * same manner.
 */
final class LlamaCpp extends ServerApi.Completions {
  /** Next tokens that the server is asked for, to compare some of them with what it says later. */
  private static final int NEXT = 5;

  /** In nats: what a batch of another size may change in a server's arithmetic. */
  private static final double SAME = 0.25;

  private final Tokenizer tokenizer;
  private Optional<Manner> proven = Optional.empty();

  /**
   * How a server answers.
   *
   * @param added token that it puts before every text by itself, or -1
   * @param hidden token that every prompt begins with and that has no entry in answers, or -1 if
   *     each token has one
   */
  private record Manner(int added, int hidden) {}

  LlamaCpp(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  @Override
  ObjectNode request(int[] tokens, int scoredFrom, Optional<String> model) {
    return question(tokens, proven.map(Manner::added).orElse(-1), model).put("echo", true);
  }

  private ObjectNode question(int[] tokens, int added, Optional<String> model) {
    int[] sent = tokens;
    if (added >= 0) {
      if (tokens.length == 0 || tokens[0] != added) {
        throw new EngineException(
            Kind.MODEL,
            "the server puts a begin token before every prompt, and the model's template did not"
                + " write one: it would read another prompt");
      }
      sent = Arrays.copyOfRange(tokens, 1, tokens.length);
    }
    ObjectNode body = JSON.createObjectNode();
    model.ifPresent(name -> body.put("model", name));
    return body.put("prompt", tokenizer.decode(sent, false))
        .put("max_tokens", 1)
        .put("temperature", 0)
        .put("logprobs", 1);
  }

  @Override
  double[] logProbs(JsonNode answer, int[] tokens, int scoredFrom) {
    Manner manner =
        proven.orElseThrow(
            () -> new IllegalStateException("the server was not asked how it answers"));
    return logProbs(answer, tokens, scoredFrom, manner.hidden());
  }

  /**
   * Parallel arrays of tokens as text and log-probabilities; a generated token may stand behind
   * them.
   */
  private double[] logProbs(JsonNode answer, int[] tokens, int scoredFrom, int hidden) {
    JsonNode logprobs = answer.path("choices").path(0).path("logprobs");
    JsonNode values = logprobs.path("token_logprobs");
    JsonNode texts = logprobs.path("tokens");
    if (!values.isArray() || values.isEmpty()) {
      throw none("llama-cpp-python needs the model loaded with logits_all");
    }
    int read = answer.path("usage").path("prompt_tokens").asInt(-1);
    if (read != tokens.length) {
      throw otherTokens(tokens.length, read);
    }
    if (hidden >= 0 && tokens[0] != hidden) {
      throw movedByOne();
    }
    int entries = (int) Arrays.stream(tokens).filter(token -> token != hidden).count();
    if (values.size() != texts.size() || values.size() < entries || values.size() > entries + 1) {
      throw otherTokens(tokens.length, read);
    }
    double[] scored = new double[tokens.length - scoredFrom];
    int entry = 0;
    for (int i = 0; i < tokens.length; i++) {
      if (tokens[i] == hidden) {
        if (i >= scoredFrom) {
          throw new EngineException(
              Kind.UNSUPPORTED,
              "The response holds the model's begin token, for which llama-cpp-python gives no"
                  + " log-probability.");
        }
        continue;
      }
      if (!isText(texts.path(entry).asText(), tokens[i])) {
        throw otherTokens(tokens.length, read);
      }
      if (i >= scoredFrom) {
        scored[i - scoredFrom] = checked(values.get(entry));
      }
      entry++;
    }
    return scored;
  }

  /** Half a character is written in different ways, and a special token may be left out. */
  private boolean isText(String said, int token) {
    String text = tokenizer.decode(new int[] {token}, false);
    return text.indexOf('\uFFFD') >= 0
        || said.strip().equals(text.strip())
        || (said.isEmpty() && tokenizer.isSpecial(token));
  }

  @Override
  void prove(int[] prompt, Optional<String> model, UnaryOperator<JsonNode> ask) {
    int added = added(prompt, model, ask);
    JsonNode next =
        ask.apply(question(prompt, added, model).put("logprobs", NEXT))
            .path("choices")
            .path(0)
            .path("logprobs")
            .path("top_logprobs")
            .path(0);
    if (!next.isObject()) {
      throw none("llama-cpp-python needs the model loaded with logits_all");
    }
    List<Known> known = known(prompt, next);
    if (known.isEmpty()) {
      throw new EngineException(
          Kind.MODEL, "the server says nothing by which its log-probabilities could be checked");
    }
    Optional<Manner> manner = Optional.empty();
    for (Known one : known) {
      JsonNode answer = ask.apply(question(one.tokens(), added, model).put("echo", true));
      int hidden = manner.map(Manner::hidden).orElseGet(() -> hidden(answer, one.tokens()));
      double said = logProbs(answer, one.tokens(), prompt.length, hidden)[0];
      if (Math.abs(said - one.logProb()) > SAME) {
        throw movedByOne();
      }
      manner = Optional.of(new Manner(added, hidden));
    }
    if (proven.isPresent() && !proven.equals(manner)) {
      throw new EngineException(
          Kind.MODEL, "the server reads prompts in another manner than it did at the start");
    }
    proven = manner;
  }

  /** The token that the server puts before every text, or -1. */
  private int added(int[] prompt, Optional<String> model, UnaryOperator<JsonNode> ask) {
    int read = read(ask.apply(question(prompt, -1, model)));
    if (read == prompt.length) {
      return -1;
    }
    if (read == prompt.length + 1
        && prompt.length > 1
        && tokenizer.isSpecial(prompt[0])
        && read(ask.apply(question(prompt, prompt[0], model))) == prompt.length) {
      return prompt[0];
    }
    throw otherTokens(prompt.length, read);
  }

  private static int read(JsonNode answer) {
    return answer.path("usage").path("prompt_tokens").asInt(-1);
  }

  /**
   * A continuation that the server was asked about.
   *
   * @param tokens the prompt and one token
   * @param logProb of the last one, nats
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Known(int[] tokens, double logProb) {}

  /** The likeliest and the least likely of the next tokens that are one token here, too. */
  private List<Known> known(int[] prompt, JsonNode next) {
    String text = tokenizer.decode(prompt, false);
    List<Known> known = new ArrayList<>();
    for (Map.Entry<String, JsonNode> one : next.properties()) {
      int[] tokens = tokenizer.encode(text + one.getKey()).ids();
      if (tokens.length == prompt.length + 1
          && Arrays.equals(Arrays.copyOf(tokens, prompt.length), prompt)
          && !tokenizer.isSpecial(tokens[prompt.length])) {
        known.add(new Known(tokens, checked(one.getValue())));
      }
    }
    known.sort((a, b) -> Double.compare(b.logProb(), a.logProb()));
    return known.size() <= 2
        ? Collections.unmodifiableList(known)
        : List.of(known.get(0), known.get(known.size() - 1));
  }

  /** Which token has no entries: the first one, or none. */
  private int hidden(JsonNode answer, int[] tokens) {
    try {
      var unused = logProbs(answer, tokens, tokens.length, tokens[0]);
      return tokens[0];
    } catch (EngineException e) {
      var unused = logProbs(answer, tokens, tokens.length, -1);
      return -1;
    }
  }

  private static EngineException movedByOne() {
    return new EngineException(
        Kind.MODEL,
        "the server's log-probabilities are not of the tokens beside them: llama-cpp-python can"
            + " only be asked about prompts that begin with the model's begin token. Serve the"
            + " model by SGLang or vLLM, or run its GGUF file in this process");
  }
}
