package dev.whence.attribution.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.Tokenizer;
import java.util.Optional;

/**
 * What is sent to a server and what comes back, without the sending. Everything that comes back is
 * untrusted.
 */
abstract class ServerApi {
  static final ObjectMapper JSON = new ObjectMapper();

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

  /** Whether the server says that it serves the model; {@code models} is its answer to the GET. */
  abstract boolean serves(JsonNode models, String model);

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
    boolean serves(JsonNode models, String model) {
      return model.equals(models.path("model_path").asText())
          || model.equals(models.path("served_model_name").asText());
    }
  }

  /** Completions that take token ids. */
  private abstract static class Completions extends ServerApi {
    @Override
    String path() {
      return "/v1/completions";
    }

    @Override
    String modelsPath() {
      return "/v1/models";
    }

    @Override
    boolean serves(JsonNode models, String model) {
      for (JsonNode one : models.path("data")) {
        if (model.equals(one.path("id").asText())) {
          return true;
        }
      }
      return false;
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

  /** llama-cpp-python: {@code POST /v1/completions} with {@code echo}; takes text, not ids. */
  private static final class LlamaCpp extends Completions {
    private final Tokenizer tokenizer;

    LlamaCpp(Tokenizer tokenizer) {
      this.tokenizer = tokenizer;
    }

    @Override
    ObjectNode request(int[] tokens, int scoredFrom, Optional<String> model) {
      ObjectNode body = JSON.createObjectNode();
      model.ifPresent(name -> body.put("model", name));
      return body.put("prompt", tokenizer.decode(tokens, false))
          .put("max_tokens", 1)
          .put("temperature", 0)
          .put("echo", true)
          .put("logprobs", 1);
    }

    /**
     * Parallel arrays of tokens as text and log-probabilities, the generated token last. What was
     * generated is told from the prompt by the number of tokens.
     */
    @Override
    double[] logProbs(JsonNode answer, int[] tokens, int scoredFrom) {
      JsonNode logprobs = answer.path("choices").path(0).path("logprobs");
      JsonNode values = logprobs.path("token_logprobs");
      JsonNode texts = logprobs.path("tokens");
      if (!values.isArray() || values.isEmpty()) {
        throw none("llama-cpp-python needs the model loaded with logits_all");
      }
      int read = answer.path("usage").path("prompt_tokens").asInt(values.size());
      if (read != tokens.length || values.size() < tokens.length) {
        throw otherTokens(tokens.length, read);
      }
      double[] scored = new double[tokens.length - scoredFrom];
      for (int i = 0; i < scored.length; i++) {
        int at = scoredFrom + i;
        String text = tokenizer.decode(new int[] {tokens[at]}, false);
        // Half a character is written in different ways: only whole ones can be compared.
        if (text.indexOf('\uFFFD') < 0
            && !texts.path(at).asText().strip().equals(text.strip())
            && !texts.path(at).asText().isEmpty()) {
          throw otherTokens(tokens.length, read);
        }
        scored[i] = checked(values.get(at));
      }
      return scored;
    }
  }
}
