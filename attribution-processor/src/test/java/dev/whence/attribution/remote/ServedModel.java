package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.ModelText;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/** A model that a stub serves, and scorers that ask it. */
abstract class ServedModel {
  static final Duration SOON = Duration.ofSeconds(20);

  static Path files;
  static LocalScorer local;
  StubServer server;

  @BeforeAll
  static void open() throws IOException {
    files = BundledModels.unpack("tiny-chat");
    local =
        LocalScorer.open(
            ModelFiles.open(files),
            EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu"));
    warmUp();
  }

  /** The first answer waits for classes to load, which a test with little patience must not. */
  private static void warmUp() throws IOException {
    try (StubServer first = new StubServer(local);
        RemoteScorer remote =
            RemoteScorer.open(
                ModelText.open(files, Optional.empty()),
                RemoteOptions.of(first.url(), RemoteOptions.Protocol.SGLANG)
                    .withPatience(SOON, 3))) {
      attribute(remote, "exact-loo");
    }
  }

  @BeforeEach
  void serve() throws IOException {
    server = new StubServer(local);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @AfterAll
  static void close() {
    local.close();
  }

  RemoteOptions options(RemoteOptions.Protocol protocol) {
    return RemoteOptions.of(server.url(), protocol).withPatience(SOON, 3);
  }

  RemoteScorer remote(RemoteOptions options) {
    return RemoteScorer.open(ModelText.open(files, Optional.empty()), options);
  }

  static Conversation conversation() {
    return dev.whence.attribution.toy.Conversations.of(
        "Belfa lives in Kesta.",
        "stop",
        dev.whence.attribution.toy.Conversations.document(
            "d",
            "Belfa lives in Kesta. Monsel has a house in Zija. Few visitors came in winter.\n\n"),
        dev.whence.attribution.toy.Conversations.question("Question: Where does Belfa live?"));
  }

  static AttributionResult attribute(Scorer scorer, String method) {
    return new Attributor(
            scorer,
            new AttributionOptions(MethodOptions.of(method), Granularity.SENTENCE, 0, false, ""))
        .attribute(conversation());
  }

  static RemoteOptions atATime(int requests, RemoteOptions options) {
    return new RemoteOptions(
        options.url(),
        options.protocol(),
        options.model(),
        options.apiKey(),
        "fp32",
        options.timeout(),
        options.attempts(),
        requests,
        options.aliases(),
        options.patience());
  }

  static void fails(Kind kind, Scorer scorer, String message) {
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> attribute(scorer, "exact-loo"))
        .withMessageContaining(message)
        .satisfies(
            e -> {
              assertThat(e.kind()).isEqualTo(kind);
              assertThat(e.getMessage()).doesNotContain("SECRET", "Belfa", "Kesta");
            });
  }

  void refused(RemoteOptions.Protocol protocol, UnaryOperator<ObjectNode> change, String message) {
    server.change = change;
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> remote(options(protocol)))
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.MODEL));
    server.change = UnaryOperator.identity();
  }

  /** Asks what is served before each call. */
  RemoteScorer always(RemoteOptions options) {
    return RemoteScorer.open(ModelText.open(files, Optional.empty()), options, Duration.ZERO);
  }
}
