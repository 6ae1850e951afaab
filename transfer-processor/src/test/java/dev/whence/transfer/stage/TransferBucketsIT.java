package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.buckets.BucketUpload;
import dev.whence.buckets.ObjectStore;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.Verification;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Models and releases that lie in an object store. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class TransferBucketsIT {
  private static final Duration SOON = Duration.ofSeconds(60);

  private TransferCluster cluster;

  @BeforeAll
  void open(@TempDir Path directory) throws Exception {
    cluster = new TransferCluster(directory);
  }

  @AfterAll
  void close() throws Exception {
    cluster.close();
  }

  @Test
  void aStoreThatDoesNotAnswerIsWaitedForAndNoFailure() throws Exception {
    try (ObjectStore store =
        ObjectStore.open(Files.createDirectories(cluster.directory.resolve("s3-down")))) {
      store.down();
      TransferEvent request = cluster.request("chat-s5", "target", Map.of());
      cluster.send(request);
      try (TransferProcessor processor =
          cluster.start(
              Map.of(
                  "output.root", store.path("waited").toString(),
                  "data.dir", cluster.directory.resolve("data").toString()))) {
        await()
            .atMost(SOON)
            .until(() -> cluster.states(request.getTransferId()).contains(TransferState.STARTED));
        Thread.sleep(5000); // more than the client's own tries take
        assertThat(cluster.states(request.getTransferId())).noneMatch(TransferStates::isTerminal);
        store.up();
        TransferEvent published = cluster.awaitEnd(request.getTransferId());
        assertThat(published.getReason()).isEmpty();
        assertThat(published.getState()).isEqualTo(TransferState.PUBLISHED);
        assertThat(processor.health().isAlive()).isTrue();
      }
      assertThat(Verification.of(ModelLocation.path(cluster.releaseOf("chat-s5").getLocation())))
          .isEmpty();
    }
  }

  @Test
  void aRequestAboutModelsInABucketIsPublishedThere() throws Exception {
    try (ObjectStore store =
        ObjectStore.open(Files.createDirectories(cluster.directory.resolve("s3")))) {
      for (String name : List.of("base", "fine-tuned", "target")) {
        BucketUpload upload =
            new BucketUpload(store.path("models/" + name), "test", BucketUpload.PART, sent -> {});
        try (var files = Files.list(cluster.models().resolve(name))) {
          for (Path file : files.toList()) {
            upload.put(file.getFileName().toString(), file);
          }
        }
      }
      TransferEvent request = cluster.request("chat-s3", "target", Map.of());
      cluster.send(request);
      TransferEvent outside =
          TransferEvent.newBuilder(cluster.request("chat-s4", "target", Map.of()))
              .setTransferId("outside")
              .setTarget(
                  TransferModel.newBuilder()
                      .setModelId("target")
                      .setLocation("s3://another-bucket/target")
                      .setDigest("")
                      .build())
              .build();
      cluster.send(outside);
      Path place;
      try (TransferProcessor processor =
          cluster.start(
              Map.of(
                  "models.roots", store.path("models").toString(),
                  "output.root", store.path("published").toString(),
                  "data.dir", cluster.directory.resolve("data").toString()))) {
        TransferEvent published = cluster.awaitEnd(request.getTransferId());
        assertThat(published.getReason()).isEmpty();
        assertThat(published.getState()).isEqualTo(TransferState.PUBLISHED);
        place = ModelLocation.path(published.getLocation());
        assertThat(place.getParent().getParent()).isEqualTo(store.path("published"));
        assertThat(place.getFileName().toString()).isEqualTo("chat-s3");
        TransferEvent refused = cluster.awaitEnd("outside");
        assertThat(refused.getState()).isEqualTo(TransferState.FAILED);
        assertThat(refused.getReason()).contains("under models.roots");
        assertThat(processor.health().isAlive()).isTrue();
      }
      assertThat(Verification.of(place)).isEmpty();
      assertThat(ModelFolder.floats(place, "model.layers.0.a")).hasSize(200_000).containsOnly(4.5f);
    }
  }
}
