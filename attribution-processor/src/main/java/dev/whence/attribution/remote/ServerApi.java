package dev.whence.attribution.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * What is sent to a server and what comes back, without the sending. Everything that comes back is
 * untrusted.
 */
abstract class ServerApi {
  static final ObjectMapper JSON = new ObjectMapper();

  /**
   * In nats. Logits are some hundreds at most; where a token was masked, some servers write -9999
   * or the least number of fp32, which as a score would drown all others.
   */
  private static final double LEAST = -1e6;

  /** Path of the request that scores. */
  abstract String path();

  /** Path of a GET that says what is served. */
  abstract String modelsPath();

  /**
   * The request for the log-probabilities of tokens [scoredFrom, length).
   *
   * @param model name to ask for, if one is configured
   */
  abstract ObjectNode request(int[] tokens, int scoredFrom, Optional<String> model);

  /**
   * The log-probabilities in an answer, nats.
   *
   * @throws EngineException of kind MODEL if the answer is not about these tokens, or has none
   */
  abstract double[] logProbs(JsonNode answer, int[] tokens, int scoredFrom);

  /**
   * Sees whether the server scores a short prompt, before anything is scored.
   *
   * @param prompt tokens of a rendered prompt
   * @param model name to ask for, if one is configured
   * @param ask sends a request to {@link #path}
   * @throws EngineException of kind MODEL if it gives no log-probabilities, or wrong ones
   */
  void prove(int[] prompt, Optional<String> model, UnaryOperator<JsonNode> ask) {
    var unused = logProbs(ask.apply(request(prompt, 1, model)), prompt, 1);
  }

  /**
   * The names of what a server serves, in its answer to the GET; first that of the model which
   * answers those who name none. Empty if it does not say.
   */
  abstract List<String> served(JsonNode models);

  static ServerApi of(RemoteOptions.Protocol protocol, Tokenizer tokenizer) {
    return switch (protocol) {
      case SGLANG -> new Sglang();
      case VLLM -> new Vllm();
      case LLAMA_CPP -> new LlamaCpp(tokenizer);
    };
  }

  static EngineException none(String advice) {
    return new EngineException(
        Kind.MODEL, "the server returned no log-probabilities of the prompt: " + advice);
  }

  static EngineException otherTokens(int sent, int read) {
    return new EngineException(
        Kind.MODEL,
        "the server reads "
            + read
            + " tokens where "
            + sent
            + " were sent, or others: its model has another tokenizer than the one configured");
  }

  /** A log-probability, checked. */
  static double checked(JsonNode value) {
    double number = value.asDouble(Double.NaN);
    if (!value.isNumber() || !Double.isFinite(number) || number > 1e-3) {
      throw new EngineException(
          Kind.MODEL, "the server returned something that is no log-probability");
    }
    if (number < LEAST) {
      throw new EngineException(
          Kind.MODEL,
          "the server returned a log-probability of "
              + number
              + ", where no model gives a token less than "
              + LEAST);
    }
    return Math.min(0, number);
  }

  /** SGLang: {@code POST /generate}. */
  private static final class Sglang extends ServerApi {
    @Override
    String path() {
      return "/generate";
    }

    @Override
    String modelsPath() {
      return "/get_model_info";
    }

    @Override
    ObjectNode request(int[] tokens, int scoredFrom, Optional<String> model) {
      ObjectNode body = JSON.createObjectNode();
      for (int token : tokens) {
        body.withArray("/input_ids").add(token);
      }
      body.putObject("sampling_params").put("max_new_tokens", 1).put("temperature", 0);
      // One before the first that is wanted: some versions count from the token that is read.
      return body.put("return_logprob", true).put("logprob_start_len", Math.max(0, scoredFrom - 1));
    }

    /** Entries {@code [logprob, id, text]}; the last of them belong to the last tokens. */
    @Override
    double[] logProbs(JsonNode answer, int[] tokens, int scoredFrom) {
      JsonNode entries = answer.path("meta_info").path("input_token_logprobs");
      int wanted = tokens.length - scoredFrom;
      if (!entries.isArray() || entries.isEmpty()) {
        throw none("SGLang needs return_logprob");
      }
      JsonNode read = answer.path("meta_info").path("prompt_tokens");
      if (entries.size() < wanted || (read.isNumber() && read.asInt() != tokens.length)) {
        throw otherTokens(tokens.length, read.asInt(entries.size()));
      }
      double[] logProbs = new double[wanted];
      for (int i = 0; i < wanted; i++) {
        JsonNode entry = entries.get(entries.size() - wanted + i);
        if (entry.path(1).asInt(-1) != tokens[scoredFrom + i]) {
          throw otherTokens(tokens.length, read.asInt(entries.size()));
        }
        logProbs[i] = checked(entry.path(0));
      }
      return logProbs;
    }

    @Override
    List<String> served(JsonNode models) {
      return Stream.of("model_path", "served_model_name")
          .map(name -> models.path(name).asText())
          .filter(name -> !name.isEmpty())
          .distinct()
          .toList();
    }
  }

  /** Completions that take token ids. */
  abstract static class Completions extends ServerApi {
    @Override
    String path() {
      return "/v1/completions";
    }

    @Override
    String modelsPath() {
      return "/v1/models";
    }

    @Override
    List<String> served(JsonNode models) {
      List<String> names = new ArrayList<>();
      models.path("data").forEach(one -> names.add(one.path("id").asText()));
      return names;
    }
  }

  /** vLLM: {@code POST /v1/completions} with {@code prompt_logprobs}. */
  private static final class Vllm extends Completions {
    @Override
    ObjectNode request(int[] tokens, int scoredFrom, Optional<String> model) {
      ObjectNode body = JSON.createObjectNode();
      model.ifPresent(name -> body.put("model", name));
      for (int token : tokens) {
        body.withArray("/prompt").add(token);
      }
      return body.put("max_tokens", 1).put("temperature", 0).put("prompt_logprobs", 0);
    }

    /** One object by token id for each token; null for the first. */
    @Override
    double[] logProbs(JsonNode answer, int[] tokens, int scoredFrom) {
      JsonNode entries = answer.path("choices").path(0).path("prompt_logprobs");
      if (!entries.isArray()) {
        throw none("vLLM needs prompt_logprobs, which may be switched off on the server");
      }
      if (entries.size() != tokens.length) {
        throw otherTokens(tokens.length, entries.size());
      }
      double[] logProbs = new double[tokens.length - scoredFrom];
      for (int i = 0; i < logProbs.length; i++) {
        int token = tokens[scoredFrom + i];
        JsonNode entry = entries.get(scoredFrom + i).path(Integer.toString(token));
        if (entry.isMissingNode()) {
          throw otherTokens(tokens.length, entries.size());
        }
        logProbs[i] = checked(entry.path("logprob"));
      }
      return logProbs;
    }
  }
}
