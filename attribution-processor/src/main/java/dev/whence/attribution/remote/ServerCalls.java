package dev.whence.attribution.remote;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import io.github.resilience4j.circuitbreaker.CallNotPermittedException;
import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import io.github.resilience4j.core.IntervalFunction;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.retry.RetryConfig;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * HTTP calls to one server: so many at a time over kept connections, repeated with growing pauses
 * where that may help, and not tried at all for a while after many failures in a row.
 */
final class ServerCalls implements AutoCloseable {
  private static final Duration CONNECT = Duration.ofSeconds(5);
  private static final Duration FIRST_PAUSE = Duration.ofMillis(200);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);
  private static final int FAILURES_TO_OPEN = 10;
  private static final Duration STAYS_OPEN = Duration.ofSeconds(10);

  private final RemoteOptions options;
  private final HttpClient client;
  private final ExecutorService threads;
  private final Retry retry;
  private final CircuitBreaker breaker;

  /** An answer that says to come again, or that nothing is there. */
  private static final class BusyException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    BusyException(String message) {
      super(message);
    }
  }

  ServerCalls(RemoteOptions options) {
    this.options = options;
    this.threads =
        Executors.newFixedThreadPool(
            options.concurrency(),
            task -> {
              Thread thread = new Thread(task, "remote-scorer");
              thread.setDaemon(true);
              return thread;
            });
    this.client =
        HttpClient.newBuilder()
            .connectTimeout(CONNECT.compareTo(options.timeout()) < 0 ? CONNECT : options.timeout())
            .version(HttpClient.Version.HTTP_1_1)
            .build();
    this.retry =
        Retry.of(
            "scorer",
            RetryConfig.<String>custom()
                .maxAttempts(options.attempts())
                .intervalFunction(
                    IntervalFunction.ofExponentialRandomBackoff(FIRST_PAUSE, 2, 0.5, LONGEST_PAUSE))
                .retryExceptions(IOException.class, BusyException.class)
                .build());
    this.breaker =
        CircuitBreaker.of(
            "scorer",
            CircuitBreakerConfig.custom()
                .slidingWindowSize(FAILURES_TO_OPEN)
                .minimumNumberOfCalls(FAILURES_TO_OPEN)
                .failureRateThreshold(100)
                .waitDurationInOpenState(STAYS_OPEN)
                .permittedNumberOfCallsInHalfOpenState(1)
                // An error of this process would never give the permission back.
                .maxWaitDurationInHalfOpenState(options.timeout().plus(STAYS_OPEN))
                .recordExceptions(IOException.class, BusyException.class)
                .ignoreExceptions(InterruptedException.class)
                .build());
  }

  Future<String> post(String path, String body, AnswerLimit limit) {
    return call(
        request(path)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body, StandardCharsets.UTF_8))
            .build(),
        limit,
        /* scores= */ true);
  }

  /** Of a server whose front answers while its engine is stuck: that says nothing of scoring. */
  Future<String> get(String path, AnswerLimit limit) {
    return call(request(path).GET().build(), limit, /* scores= */ false);
  }

  /** Counts a failure that no request came to see, since all of them were cancelled before. */
  void failed() {
    breaker.onError(0, TimeUnit.NANOSECONDS, new HttpTimeoutException("cancelled"));
  }

  /** How many of the last calls that were to score something failed. */
  int failures() {
    return breaker.getMetrics().getNumberOfFailedCalls();
  }

  private HttpRequest.Builder request(String path) {
    String base = options.url().toString();
    String joined = (base.endsWith("/") ? base.substring(0, base.length() - 1) : base) + path;
    HttpRequest.Builder builder =
        HttpRequest.newBuilder(URI.create(joined)).timeout(options.timeout());
    options.apiKey().ifPresent(key -> builder.header("Authorization", "Bearer " + key));
    return builder;
  }

  /**
   * The body of a good answer; the future fails with an {@link EngineException}, or an {@link
   * Error} of this process, and no other. Cancelling it ends the call, the request that is under
   * way and those that would follow.
   */
  private Future<String> call(HttpRequest request, AnswerLimit limit, boolean scores) {
    Callable<String> once = () -> once(request, limit);
    Callable<String> guarded = scores ? CircuitBreaker.decorateCallable(breaker, once) : once;
    return threads.submit(
        () -> {
          try {
            return retry.executeCallable(guarded);
          } catch (CallNotPermittedException e) {
            throw unavailable("has failed too often and is left alone for a while");
          } catch (HttpTimeoutException e) {
            throw unavailable("did not answer within " + options.timeout().toMillis() + " ms");
          } catch (IOException e) {
            throw unavailable("can not be reached (" + e.getClass().getSimpleName() + ")");
          } catch (BusyException e) {
            throw unavailable(String.valueOf(e.getMessage()));
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw unavailable("was not waited for");
          }
        });
  }

  private String once(HttpRequest request, AnswerLimit limit)
      throws IOException, InterruptedException {
    if (Thread.interrupted()) {
      throw new InterruptedException(); // given up while it paused or was about to be sent
    }
    // The request's own timeout ends with the headers; a body may stall, too.
    CompletableFuture<HttpResponse<byte[]>> sent =
        client.sendAsync(request, info -> new LimitedBody(limit.bytes()));
    HttpResponse<byte[]> response;
    try {
      response = sent.get(options.timeout().toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      sent.cancel(true);
      throw new HttpTimeoutException("no complete answer in time");
    } catch (InterruptedException e) {
      sent.cancel(true);
      throw e;
    } catch (ExecutionException e) {
      throw failure(e, limit);
    }
    int status = response.statusCode();
    if (status == 200) {
      return new String(response.body(), StandardCharsets.UTF_8);
    }
    if (status == 408 || status == 429 || status >= 500) {
      throw new BusyException("answers with HTTP status " + status);
    }
    // The body may repeat the prompt: it is not told.
    if (status == 400 || status == 413 || status == 422) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "The server refuses the prompt with HTTP status "
              + status
              + ": it may be longer than the server was started for.");
    }
    throw unavailable("answers with HTTP status " + status + ": check address and API key");
  }

  /**
   * Why a call failed: the exception to throw, if what broke it is not thrown here. The client may
   * wrap that.
   *
   * @throws EngineException if the answer was too long
   * @throws Error if it is one: the heap may be full, which is not the server's fault
   */
  static IOException failure(ExecutionException failed, AnswerLimit limit) {
    for (Throwable cause = failed.getCause(); cause != null; cause = cause.getCause()) {
      if (cause instanceof Error error) {
        throw error;
      }
      if (cause instanceof LimitedBody.TooLongException) {
        throw limit.exceeded(failed);
      }
    }
    return failed.getCause() instanceof IOException io
        ? io
        : new IOException("the call failed", failed.getCause());
  }

  private EngineException unavailable(String what) {
    return new EngineException(Kind.ENVIRONMENT, "the server at " + options.where() + " " + what);
  }

  @Override
  public void close() {
    threads.shutdownNow();
  }
}
