package dev.whence.attribution.remote;

import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Which server scores, and how patiently it is asked.
 *
 * @param url base of its API, for example {@code http://gpu-1:30000}
 * @param protocol that it speaks
 * @param model name under which it serves the model; empty: whichever it serves
 * @param apiKey sent as a bearer token
 * @param dtype in which the server computes, bf16 or fp32: says how noisy its scores are
 * @param timeout of one request
 * @param attempts of one request, the first included
 * @param concurrency requests at a time
 * @param aliases production model names that the model is, rather than a surrogate for
 * @param patience how long one piece of work may take, with all its requests
 */
public record RemoteOptions(
    URI url,
    Protocol protocol,
    Optional<String> model,
    Optional<String> apiKey,
    String dtype,
    Duration timeout,
    int attempts,
    int concurrency,
    List<String> aliases,
    Patience patience) {
  /**
   * When the process that waits for a piece of work takes itself to hang; the work is given up
   * before.
   *
   * @param factor so many times what was estimated
   * @param atLeast ... but never sooner
   */
  public record Patience(double factor, Duration atLeast) {
    public static final Patience DEFAULT = new Patience(10, Duration.ofSeconds(60));

    /** Leaves time for what is done beside waiting. */
    private static final double SHARE = 0.75;

    public Patience {
      if (!(factor >= 1) || atLeast.isNegative() || atLeast.isZero()) {
        throw new IllegalArgumentException("the patience with a server must be positive");
      }
    }

    /** After how long work is given up that was estimated to take so many seconds. */
    double seconds(double estimated) {
      return SHARE * Math.max(factor * estimated, atLeast.toNanos() * 1e-9);
    }
  }

  /** APIs that give log-probabilities of a prompt's tokens. */
  public enum Protocol {
    /** SGLang's {@code /generate}: token ids in, its prefix cache stays useful. First choice. */
    SGLANG,
    /** vLLM's completions with {@code prompt_logprobs}, for which it computes every prefix anew. */
    VLLM,
    /** Completions with {@code echo} and {@code logprobs}, as llama-cpp-python serves them. */
    LLAMA_CPP;

    /**
     * The protocol of a name.
     *
     * @throws IllegalArgumentException if it is none of sglang, vllm, llama-cpp
     */
    public static Protocol of(String name) {
      return switch (name.toLowerCase(Locale.ROOT)) {
        case "sglang" -> SGLANG;
        case "vllm" -> VLLM;
        case "llama-cpp" -> LLAMA_CPP;
        default ->
            throw new IllegalArgumentException(
                "server protocol '" + name + "' is none of sglang, vllm, llama-cpp");
      };
    }
  }

  public RemoteOptions {
    aliases = List.copyOf(aliases);
    apiKey = apiKey.map(String::strip);
    if (apiKey.isPresent() && !apiKey.get().matches("[\\x21-\\x7e]+")) {
      throw new IllegalArgumentException("the API key of a server has characters that no key has");
    }
    String scheme = String.valueOf(url.getScheme());
    if (!(scheme.equals("http") || scheme.equals("https")) || url.getHost() == null) {
      throw new IllegalArgumentException("a server's address must be http://host or https://host");
    }
    if (url.getUserInfo() != null) {
      throw new IllegalArgumentException(
          "a server's address holds credentials; give them as its API key");
    }
    if (timeout.isNegative() || timeout.isZero() || attempts < 1 || concurrency < 1) {
      throw new IllegalArgumentException(
          "timeout, attempts and concurrency of a server must be positive");
    }
    if (!dtype.equals("bf16") && !dtype.equals("fp32")) {
      throw new IllegalArgumentException("dtype '" + dtype + "' is none of bf16, fp32");
    }
  }

  /**
   * How many requests a server is sent at a time where nobody says: llama-cpp-python answers one
   * after the other, and the time of those that wait would count.
   */
  public static int concurrency(Protocol protocol) {
    return protocol == Protocol.LLAMA_CPP ? 1 : 8;
  }

  /** A server that computes in bf16: 60 s, 4 attempts. */
  public static RemoteOptions of(URI url, Protocol protocol) {
    return new RemoteOptions(
        url,
        protocol,
        Optional.empty(),
        Optional.empty(),
        "bf16",
        Duration.ofSeconds(60),
        4,
        concurrency(protocol),
        List.of(),
        Patience.DEFAULT);
  }

  /** The server's address without path and query, for messages. */
  String where() {
    return url.getHost() + (url.getPort() < 0 ? "" : ":" + url.getPort());
  }

  public RemoteOptions withPatience(Duration ofOneRequest, int ofAttempts) {
    return new RemoteOptions(
        url,
        protocol,
        model,
        apiKey,
        dtype,
        ofOneRequest,
        ofAttempts,
        concurrency,
        aliases,
        patience);
  }

  public RemoteOptions withPatience(Patience withWork) {
    return new RemoteOptions(
        url, protocol, model, apiKey, dtype, timeout, attempts, concurrency, aliases, withWork);
  }

  public RemoteOptions withModel(String name) {
    return new RemoteOptions(
        url,
        protocol,
        Optional.of(name),
        apiKey,
        dtype,
        timeout,
        attempts,
        concurrency,
        aliases,
        patience);
  }

  public RemoteOptions withAliases(List<String> names) {
    return new RemoteOptions(
        url, protocol, model, apiKey, dtype, timeout, attempts, concurrency, names, patience);
  }

  public RemoteOptions withApiKey(String key) {
    return new RemoteOptions(
        url,
        protocol,
        model,
        Optional.of(key),
        dtype,
        timeout,
        attempts,
        concurrency,
        aliases,
        patience);
  }
}
