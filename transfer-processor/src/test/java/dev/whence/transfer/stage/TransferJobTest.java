package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.Judge;
import dev.whence.transfer.merge.ModelFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransferJobTest {
  private static final int TENSORS = 8;
  private static final int VALUES = 1 << 18; // 1 MiB each

  @TempDir private Path directory;
  private final List<String> halted = new ArrayList<>();

  @BeforeEach
  void models() throws IOException {
    for (String name : List.of("base", "fine-tuned", "target")) {
      ModelFolder folder = new ModelFolder();
      for (int i = 0; i < TENSORS; i++) {
        float[] values = new float[VALUES];
        java.util.Arrays.fill(values, name.length());
        folder.add(ModelFolder.f32("model.layers." + i + ".a", values));
      }
      folder.write(directory.resolve("models").resolve(name));
    }
    Files.writeString(directory.resolve("set.jsonl"), "{}\n");
  }

  private TransferConfig config() {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", "nowhere:9092");
    settings.put("registry.url", "http://nowhere:8081");
    settings.put("data.dir", directory.resolve("data").toString());
    settings.put("models.roots", directory.resolve("models").toString());
    settings.put("output.root", directory.resolve("published").toString());
    settings.put("gates.task-set", directory.resolve("set.jsonl").toString());
    settings.put("gates.general-set", directory.resolve("set.jsonl").toString());
    settings.put("gates.judge", "sh,-c,echo 1");
    settings.put("progress.interval", "10ms");
    settings.put("merge.memory", "1MiB");
    return TransferConfig.read(Settings.of(settings));
  }

  /** The target is worse than all others, so what is merged passes. */
  private TransferConfig passing() {
    return judgedBy(config(), (model, set) -> model.endsWith("target") ? 3 : 1);
  }

  private static TransferEvent started() {
    return started(1);
  }

  private static TransferEvent started(double lambda) {
    return TransferEvent.newBuilder(
            TransferRequests.request(
                TransferCluster.model("base"),
                TransferCluster.model("fine-tuned"),
                TransferCluster.model("target"),
                "chat-2",
                List.of(),
                List.of(),
                lambda,
                List.of(),
                Map.of(),
                "test"))
        .setState(TransferState.STARTED)
        .build();
  }

  private static void cutInHalf(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Does something as soon as the merge has moved its first bytes, and runs a job to its end. */
  private List<TransferEvent> run(Runnable inTheMiddle) throws InterruptedException {
    return run(config(), started(), inTheMiddle);
  }

  private List<TransferEvent> run(
      TransferConfig config, TransferEvent started, Runnable inTheMiddle)
      throws InterruptedException {
    return run(config, started, /* resumed= */ false, inTheMiddle);
  }

  private List<TransferEvent> run(
      TransferConfig config, TransferEvent started, boolean resumed, Runnable inTheMiddle)
      throws InterruptedException {
    List<TransferEvent> said = new ArrayList<>();
    AtomicBoolean isBegun = new AtomicBoolean();
    TransferJob.Voice voice =
        new TransferJob.Voice() {
          @Override
          public void say(TransferEvent event, Optional<ModelRelease> release) {
            said.add(event);
          }

          @Override
          public void progress(TransferEvent event) {
            if (event.getBytesMoved() < event.getBytesTotal()
                && isBegun.compareAndSet(false, true)) {
              inTheMiddle.run();
            }
          }
        };
    TransferJob job = new TransferJob(config, "test-0", started, resumed, voice, halted::add);
    Thread.sleep(20); // more than the interval: the first bytes are told of
    job.run();
    return said;
  }

  @Test
  void anInputThatIsCutDuringTheMergeFailsWithTensorAndByteAndLeavesNothing() throws Exception {
    Path shard = directory.resolve("models/fine-tuned").resolve(SafetensorsShards.SINGLE);
    List<TransferEvent> said = run(() -> cutInHalf(shard));
    assertThat(said).hasSize(1);
    TransferEvent failed = said.get(0);
    assertThat(failed.getState()).isEqualTo(TransferState.FAILED);
    assertThat(failed.getReason())
        .containsPattern("'model\\.layers\\.[0-7]\\.a'")
        .containsPattern("byte [0-9]+")
        .contains(shard.getFileName().toString());
    assertNothingIsLeft();
    assertThat(directory.resolve("data/reports")).doesNotExist();
  }

  private void assertNothingIsLeft() throws IOException {
    try (var left = Files.walk(directory.resolve("published"))) {
      assertThat(left.filter(Files::isRegularFile)).isEmpty();
    }
  }

  @Test
  void whatNobodyForesawFailsTheTransferAndLeavesNothingOfItsSize() throws Exception {
    List<TransferEvent> whileMerging =
        run(
            () -> {
              throw new StackOverflowError();
            });
    assertThat(whileMerging)
        .singleElement()
        .satisfies(failed -> assertThat(failed.getReason()).contains("broke (StackOverflowError)"));
    assertNothingIsLeft();

    TransferConfig breaking =
        judgedBy(
            passing(),
            (model, set) -> {
              if (model.toString().endsWith("whence-candidate")) {
                throw new IllegalStateException("a defect of the judge");
              }
              return 1;
            });
    List<TransferEvent> whileMeasuring = run(breaking, started(), () -> {});
    assertThat(whileMeasuring)
        .singleElement()
        .satisfies(
            failed -> assertThat(failed.getReason()).contains("broke (IllegalStateException)"));
    assertNothingIsLeft();
  }

  private static TransferConfig judgedBy(TransferConfig read, Judge judge) {
    return new TransferConfig(
        read.runtime(),
        read.outputRoot(),
        read.work(),
        read.gates(),
        judge,
        read.progressInterval(),
        read.memoryBytes(),
        List.of());
  }

  @Test
  void aReasonThatNoRecordHasRoomForIsCutAndSaysSo() throws Exception {
    TransferConfig talkative =
        judgedBy(
            config(),
            (model, set) -> {
              throw new TransferException("\uD83D\uDE00".repeat(1_000_000));
            });
    assertThat(run(talkative, started(), () -> {}))
        .singleElement()
        .satisfies(
            failed ->
                assertThat(failed.getReason())
                    .hasSizeLessThanOrEqualTo(TransferJob.LONGEST_REASON)
                    .startsWith("\uD83D\uDE00")
                    .endsWith("\uD83D\uDE00... (cut, of 2000000 characters)"));
  }

  @Test
  void aLostDeviceHaltsTheProcessAndTheCandidateWaitsForTheNextOne() throws Exception {
    TransferConfig losing =
        judgedBy(
            passing(),
            (model, set) -> {
              if (model.toString().endsWith("whence-candidate")) {
                throw new TransferException(
                    "CUDA is gone",
                    EnvironmentException.ofProcess("CUDA is gone", new IllegalStateException()));
              }
              return 1;
            });
    assertThat(run(losing, started(), () -> {})).isEmpty();
    assertThat(halted).singleElement().asString().contains("CUDA is gone");
    assertTheCandidateIsLeft();

    // It may be the transfer that loses the device: processes do not halt for it for ever.
    List<TransferEvent> again = run(losing, started(), /* resumed= */ true, () -> {});
    assertThat(halted).hasSize(1);
    assertThat(again.get(again.size() - 1).getState()).isEqualTo(TransferState.FAILED);
    assertThat(again.get(again.size() - 1).getReason())
        .contains("CUDA is gone", "the merged model stays in");
    assertTheCandidateIsLeft();

    List<TransferEvent> next = run(passing(), started(), () -> {});
    assertThat(next.get(next.size() - 1).getState()).isEqualTo(TransferState.PUBLISHED);
  }

  private void assertTheCandidateIsLeft() throws IOException {
    try (var left = Files.walk(directory.resolve("published"))) {
      assertThat(left.filter(path -> path.endsWith(SafetensorsShards.SINGLE))).hasSize(1);
    }
  }

  @Test
  void aFileNameOfTwoMillionLettersFailsWithAShortReason() throws Exception {
    Path base = directory.resolve("models/base");
    Files.delete(base.resolve(SafetensorsShards.SINGLE));
    Files.writeString(
        base.resolve(SafetensorsShards.INDEX),
        "{\"weight_map\": {\"a\": \"" + "x".repeat(2_000_000) + "\"}}");
    assertThat(run(() -> {}))
        .singleElement()
        .satisfies(
            failed ->
                assertThat(failed.getReason())
                    .contains("2000000 bytes, more than 255")
                    .hasSizeLessThan(1000));
  }

  @Test
  void anotherTransferToTheSameModelIdIsPublishedBesideTheFirst() throws Exception {
    List<String> locations = new ArrayList<>();
    for (double lambda : new double[] {1, .5, 1}) {
      List<TransferEvent> said = run(passing(), started(lambda), () -> {});
      TransferEvent last = said.get(said.size() - 1);
      assertThat(last.getState()).as(last.getReason()).isEqualTo(TransferState.PUBLISHED);
      assertThat(last.getModelId()).isEqualTo("chat-2");
      locations.add(last.getLocation());
      if (locations.size() == 2) {
        // The first is what scorers may still read.
        assertThat(Path.of(locations.get(0)).resolve(SafetensorsShards.SINGLE)).exists();
      }
    }
    assertThat(locations).doesNotContain(directory.resolve("published/chat-2").toString());
    assertThat(locations.get(1)).isNotEqualTo(locations.get(0));
    assertThat(locations.get(2)).isEqualTo(locations.get(0)); // the same transfer
  }
}
