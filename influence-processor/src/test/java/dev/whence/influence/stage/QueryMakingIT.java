package dev.whence.influence.stage;

import static dev.whence.influence.stage.DrivenShards.copied;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.influence.InfluenceException;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelRelease;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * How a query is made of a response: by the model that gave it, as soon as that is there and free,
 * and small enough for a record.
 */
class QueryMakingIT {
  @TempDir private Path data;

  private DrivenShards driven;

  @BeforeEach
  void drive() throws Exception {
    driven = new DrivenShards(data);
  }

  /** Another model may take over between the question whose it is and its turn. */
  @Test
  void noQueryIsMadeByAModelThatDidNotGiveTheResponse() throws Exception {
    try (QueryModel model =
        new QueryModel(driven.config(InfluenceCluster.chatModel()), new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Conversation ours = InfluenceCluster.answered("r", 0);
      assertThat(model.ask(InfluenceCluster.named("r", "acme/other", ours), Duration.ZERO))
          .isEmpty();
      assertThat(model.ask(ours, Duration.ZERO)).isPresent();
    }
  }

  /** The worker of requests and that of samples have one model, and a watchdog each. */
  @Test
  void whoWaitsForAnothersGradientKnowsWhoseResponseItIsAndGivesItBackBeforeItsOwnWorkLooksHung()
      throws Exception {
    ReentrantLock using = new ReentrantLock();
    try (QueryModel model =
        new QueryModel(
            driven.config(InfluenceCluster.chatModel(), "hang.at-least", "400 ms"),
            new SimpleMeterRegistry(),
            using)) {
      model.openFirst(List.of());
      Conversation ours = InfluenceCluster.answered("r", 0);
      using.lock(); // as long as another thread takes a gradient
      try {
        CompletableFuture<Boolean> known =
            CompletableFuture.supplyAsync(() -> model.answersTo(ours.model()));
        assertThat(known).succeedsWithin(Duration.ofSeconds(10)).isEqualTo(true);
        CompletableFuture<Optional<QueryModel.Query>> asked =
            CompletableFuture.supplyAsync(() -> model.ask(ours, Duration.ZERO));
        assertThat(asked)
            .failsWithin(Duration.ofSeconds(10))
            .withThrowableOfType(ExecutionException.class)
            .withCauseInstanceOf(EnvironmentException.class)
            .withMessageContaining("another stage has been taking a gradient for more than 200 ms");
      } finally {
        using.unlock();
      }
      assertThat(model.ask(ours, Duration.ZERO)).isPresent();
    }
  }

  /** Loading has its own time before a batch; a record that is read has less. */
  @Test
  void aModelThatMadeRoomComesBackBeforeABatchAndNotWhileARecordIsRead() throws Exception {
    InfluenceConfig config =
        driven.config(InfluenceCluster.chatModel(), "models.reload", "unload-first");
    ModelRelease base =
        ModelRelease.newBuilder()
            .setModelId("base")
            .setLocation(InfluenceCluster.baseModel().getFileName().toString())
            .setDigest(driven.cluster.opened().settings().modelDigest())
            .build();
    Path vectors = driven.cluster.pretraining().resolve("eigenvectors.factors");
    Path away = data.resolve("away");
    try (QueryModel model = new QueryModel(config, new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Conversation ours = InfluenceCluster.answered("r", 0);
      Files.move(vectors, away);
      try {
        assertThatThrownBy(() -> model.takeOver(Optional.of(base)))
            .isInstanceOf(ModelLoadException.class);
        assertThatThrownBy(model::bringBack).isInstanceOf(EnvironmentException.class);
      } finally {
        Files.move(away, vectors);
      }
      assertThatThrownBy(() -> model.answersTo(ours.model()))
          .isInstanceOf(EnvironmentException.class)
          .hasMessage("no model is loaded: the old one could not be loaded again yet");

      model.bringBack();
      assertThat(model.answersTo(ours.model())).isTrue();
      assertThat(model.ask(ours, Duration.ZERO)).isPresent();
    }
  }

  /** The old model's files are gone, so that it could not be loaded again. */
  @Test
  void aReleaseThatDoesNotFitUnloadsNothingAlsoWhereTheOldModelIsToMakeRoomFirst()
      throws Exception {
    Path models = data.resolve("models");
    Path old = copied(InfluenceCluster.chatModel(), models.resolve("old"));
    copied(InfluenceCluster.baseModel(), models.resolve("next"));
    InfluenceConfig config =
        driven.config(old, "models.roots", models.toString(), "models.reload", "unload-first");
    try (QueryModel model = new QueryModel(config, new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Files.move(old, models.resolve("gone"));
      String base = driven.cluster.opened().settings().modelDigest();
      ModelRelease liar =
          ModelRelease.newBuilder()
              .setModelId("next")
              .setLocation("next")
              .setDigest("1".repeat(64))
              .setLineage(
                  List.of(ModelAncestor.newBuilder().setRelation("base").setDigest(base).build()))
              .build();
      assertThatThrownBy(() -> model.takeOver(Optional.of(liar)))
          .isInstanceOf(ModelLoadException.class)
          .hasMessageContaining("but its release says 1111");
      assertThat(model.ask(InfluenceCluster.answered("r", 0), Duration.ZERO)).isPresent();
    }
  }

  @Test
  void aSketchThatIsTooLargeForARecordIsRefusedWhereThereIsNoOtherPlaceForIt() {
    assertThatThrownBy(
            () ->
                driven.asked(
                    driven.config(InfluenceCluster.chatModel(), "claim-check.above", "1KiB"),
                    InfluenceCluster.answered("r", 0)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("2048 bytes, more than claim-check.above, 1024")
        .hasMessageContaining("set claim-check.dir");
  }
}
