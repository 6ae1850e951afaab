package dev.whence.transfer.place;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.buckets.BucketUpload;
import dev.whence.buckets.ObjectStore;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.weights.ElementType;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.samples.BundledModels;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.EngineJudge;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.gate.Judge;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.StoppedException;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.merge.Verification;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Models that come from a bucket and go to one; the server is a process of its own. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BucketDestinationIT {
  private static final long ELEMENTS = 2_000_000;

  private Path directory;
  private Path work;
  private ObjectStore store;
  private TransferRequest request;
  private TransferRequest sameOnDisk;

  @BeforeAll
  void open(@TempDir Path directory) throws Exception {
    this.directory = directory;
    work = directory.resolve("work");
    store = ObjectStore.open(directory);
    List<Path> onDisk = new ArrayList<>();
    for (String name : List.of("base", "fine-tuned", "target")) {
      Path model = directory.resolve(name);
      new ModelFolder()
          .random("a-1.safetensors", "a", ElementType.BF16, name.hashCode(), ELEMENTS)
          .random("a-1.safetensors", "small", ElementType.F32, name.hashCode() + 1, 77L)
          .random("a-2.safetensors", "b", ElementType.F32, name.hashCode() + 2, ELEMENTS)
          .write(model);
      onDisk.add(model);
      put(model, "models/" + name);
    }
    sameOnDisk = TransferRequest.of(onDisk.get(0), onDisk.get(1), onDisk.get(2));
    request =
        TransferRequest.of(
            store.path("models/base"),
            store.path("models/fine-tuned"),
            store.path("models/target"));
  }

  @AfterAll
  void close() {
    store.close();
  }

  private void put(Path model, String prefix) throws IOException {
    BucketUpload upload =
        new BucketUpload(store.path(prefix), "test", BucketTransfer.PART, sent -> {});
    try (var files = Files.list(model)) {
      for (Path file : files.toList()) {
        upload.put(file.getFileName().toString(), file);
      }
    }
  }

  private Destination to(String key) {
    return new BucketDestination(store.path(key), work, BucketTransfer.PART);
  }

  private Published transfer(String key) {
    return BucketTransfer.run(request, to(key), MergeProgress.NONE);
  }

  private void assertWhole(String key) {
    Path place = store.path(key);
    assertThat(Verification.of(place)).isEmpty();
    assertThat(store.unfinished()).noneMatch(one -> one.startsWith(key + "/"));
    assertThat(to(key).directory()).doesNotExist();
    Path local = directory.resolve("local-" + key.replace('/', '-'));
    try (TransferPlan plan = TransferPlan.of(sameOnDisk)) {
      MergeRun.run(plan, local, MergeOptions.defaults(), MergeProgress.NONE);
    }
    assertThat(ModelFolder.values(place)).isEqualTo(ModelFolder.values(local));
  }

  @Test
  void aModelFromABucketToABucketHasTheBytesOfOneOnDisk() {
    Published published = transfer("out/plain");
    assertThat(published.models().get(0).directory()).isEqualTo(store.path("out/plain"));
    assertThat(published.before()).isFalse();
    assertWhole("out/plain");
    assertThat(transfer("out/plain").before()).isTrue();
  }

  @Test
  void theEngineScoresAModelOfABucketAsItDoesOneOnDisk() throws IOException {
    Path onDisk = BundledModels.unpack("tiny-chat");
    put(onDisk, "models/tiny-chat");
    Path set = Files.writeString(directory.resolve("set.jsonl"), "{\"text\": \"Who is it?\"}\n");
    Judge judge = new EngineJudge(EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32));
    assertThat(judge.loss(store.path("models/tiny-chat"), set))
        .isPositive()
        .isEqualTo(judge.loss(onDisk, set));
  }

  @Test
  void severalLambdasGoToAPrefixEach() {
    Published published =
        BucketTransfer.run(request.withLambdas(List.of(.5, 1.)), to("out/two"), MergeProgress.NONE);
    assertThat(published.models())
        .extracting(model -> model.directory().toString())
        .containsExactly(
            store.path("out/two/lambda-0.5").toString(),
            store.path("out/two/lambda-1.0").toString());
    for (Published.Model model : published.models()) {
      assertThat(Verification.of(model.directory())).isEmpty();
    }
  }

  @Test
  void untilTheLastObjectNoLoaderFindsAModelAndAStoppedRunGoesOn() {
    Destination to = to("out/stopped");
    try (TransferPlan plan = TransferPlan.of(request)) {
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), MergeProgress.NONE);
      int stops = 0;
      for (boolean done = false; !done; stops += done ? 0 : 1) {
        AtomicInteger sent = new AtomicInteger(); // by several threads at once
        int most = stops + 1;
        try {
          to.publish(merged, (moved, total) -> sent.incrementAndGet(), () -> sent.get() >= most);
          done = true;
        } catch (StoppedException e) {
          List<String> there = store.keys("out/stopped/");
          assertThat(there).doesNotContain("out/stopped/" + Manifest.FILE);
          boolean readable = there.contains("out/stopped/config.json");
          assertThat(
                  !readable
                      || there.containsAll(
                          List.of("out/stopped/a-1.safetensors", "out/stopped/a-2.safetensors")))
              .isTrue();
          assertThat(to.unpublished()).contains(new Published(plan.id(), merged.models(), true));
        }
      }
      assertThat(stops).isGreaterThanOrEqualTo(3);
    }
    assertWhole("out/stopped");
  }

  /** Its manifest goes first, so what is left of the copy is no model that could be verified. */
  @Test
  void aCopyThatWasHalfRemovedWhenItsRunWasKilledIsNoFailure() throws IOException {
    transfer("out/half-removed");
    Destination to = to("out/half-removed");
    Files.createDirectories(to.directory());
    Files.write(to.directory().resolve("a-1.safetensors"), new byte[100]);
    Path set = Files.writeString(directory.resolve("any.jsonl"), "{\"text\": \"any\"}\n");
    GatedTransfer.Outcome outcome =
        new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates(set))
            .run(request, to, (manifest, report) -> {});
    assertThat(outcome.published()).isTrue();
    assertWhole("out/half-removed");
  }

  /** They let everything pass. */
  private static Gates gates(Path set) {
    GateOptions limits = new GateOptions(set, set, 50, 50, 50, List.of());
    return new Gates(
        (model, unused) -> isTarget(model) ? 2 : 1, limits, MergeOptions.defaults(), said -> {});
  }

  private static boolean isTarget(Path model) {
    return model.endsWith("target");
  }

  @Test
  void aKilledProcessLeavesNoHalfReleaseAndTheNextOneCompletesIt() throws Exception {
    Process killed = process("out/killed");
    try (BufferedReader out =
        new BufferedReader(
            new InputStreamReader(killed.getInputStream(), StandardCharsets.UTF_8))) {
      assertThat(out.readLine()).startsWith("sent "); // and more is on its way
      killed.destroyForcibly();
      assertThat(killed.waitFor()).isNotZero();
    }
    assertThat(store.keys("out/killed/"))
        .doesNotContain("out/killed/" + Manifest.FILE, "out/killed/config.json");
    Process process = process("out/killed");
    process.getInputStream().transferTo(java.io.OutputStream.nullOutputStream());
    assertThat(process.waitFor()).isZero();
    assertWhole("out/killed");
  }

  private Process process(String key) throws IOException {
    return BucketTransfer.start(store, request, key, work);
  }

  @Test
  void aResultThatWasAlteredBeforeItIsSentNeverGetsThere() throws IOException {
    Destination to = to("out/altered");
    try (TransferPlan plan = TransferPlan.of(request)) {
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), MergeProgress.NONE);
      Path shard = to.directory().resolve("a-2.safetensors");
      try (FileChannel channel = FileChannel.open(shard, StandardOpenOption.WRITE)) {
        channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3, 4}), Files.size(shard) - 400);
      }
      assertThatThrownBy(() -> to.publish(merged, MergeProgress.NONE, () -> false))
          .isInstanceOf(TransferException.class)
          .hasMessageContaining("tensor 'b' is not what was written");
    }
    assertThat(store.keys("out/altered/")).isEmpty();
    assertThat(to.directory()).doesNotExist();
  }

  /** What happens once, when the first shard is there and the second on its way. */
  private MergeProgress afterTheFirstShard(String prefix, Runnable happens) {
    AtomicBoolean happened = new AtomicBoolean();
    return (moved, total) -> {
      if (!happened.get() && store.keys(prefix).size() == 1 && !happened.getAndSet(true)) {
        happens.run();
      }
    };
  }

  @Test
  void aStoreThatGoesAwayLeavesTheResultOnDiskAndTheNextRunSendsWhatIsMissing() throws Exception {
    Destination to = to("out/cut-off");
    try (TransferPlan plan = TransferPlan.of(request)) {
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), MergeProgress.NONE);
      MergeProgress cutOff = afterTheFirstShard("out/cut-off/", store::down);
      try {
        assertThatThrownBy(() -> to.publish(merged, cutOff, () -> false))
            .isInstanceOf(TransferException.class)
            .hasMessageContaining("what is finished stays in " + to.directory())
            .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isTrue());
      } finally {
        store.up();
      }
      assertThat(to.unpublished()).contains(new Published(plan.id(), merged.models(), true));
      assertThat(store.keys("out/cut-off/")).containsExactly("out/cut-off/a-1.safetensors");
      to.publish(merged, MergeProgress.NONE, () -> false);
    }
    assertWhole("out/cut-off");
  }

  /** Whoever gives the rights back should not have to merge for hours again. */
  @Test
  void aStoreThatRefusesOnTheWayLeavesTheResultOnDiskAndSaysHowToGoOn() throws Exception {
    Destination to = to("out/denied");
    try (TransferPlan plan = TransferPlan.of(request)) {
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), MergeProgress.NONE);
      MergeProgress deny =
          afterTheFirstShard(
              "out/denied/", () -> System.setProperty("aws.secretAccessKey", "of nobody"));
      try {
        assertThatThrownBy(() -> to.publish(merged, deny, () -> false))
            .isInstanceOf(TransferException.class)
            .hasMessageContaining("the store refuses these credentials")
            .hasMessageContaining("what is finished stays in " + to.directory())
            .hasMessageContaining("ask for the same transfer again")
            .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isFalse());
      } finally {
        System.setProperty("aws.secretAccessKey", ObjectStore.SECRET);
      }
      assertThat(to.unpublished()).contains(new Published(plan.id(), merged.models(), true));
    }
    Path set = Files.writeString(directory.resolve("denied.jsonl"), "{\"text\": \"any\"}\n");
    GatedTransfer.Outcome outcome = // as the processor does when it is asked again
        new GatedTransfer(
                MergeOptions.defaults(),
                (moved, total) -> {
                  throw new IllegalStateException("it is merged");
                },
                gates(set))
            .run(request, to, (manifest, report) -> {});
    assertThat(outcome.published()).isTrue();
    assertWhole("out/denied");
  }

  @Test
  void theManifestIsNotSentWhileAnythingOfTheReleaseIsMissing() throws Exception {
    Destination to = to("out/missing");
    try (TransferPlan plan = TransferPlan.of(request)) {
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), MergeProgress.NONE);
      AtomicBoolean removed = new AtomicBoolean();
      MergeProgress remove =
          (moved, total) -> {
            if (store.keys("out/missing/").contains("out/missing/config.json")
                && !removed.getAndSet(true)) {
              store.remove("out/missing/a-1.safetensors");
            }
          };
      assertThatThrownBy(() -> to.publish(merged, remove, () -> false))
          .hasMessageContaining("out/missing/a-1.safetensors: was put and is gone")
          .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isTrue());
      assertThat(store.keys("out/missing/")).doesNotContain("out/missing/" + Manifest.FILE);
      to.publish(merged, MergeProgress.NONE, () -> false);
    }
    assertWhole("out/missing");
  }

  @Test
  void anotherObjectOnTheWayEndsTheTransferAndKeepsWhatOthersHavePut() throws Exception {
    Destination to = to("out/others");
    try (TransferPlan plan = TransferPlan.of(request)) {
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), MergeProgress.NONE);
      new BucketUpload(store.path("out/others"), plan.id(), BucketTransfer.PART, sent -> {})
          .put("a-1.safetensors", to.directory().resolve("a-1.safetensors"));
      store.overwrite("out/others/a-2.safetensors", new byte[] {1});
      assertThatThrownBy(() -> to.publish(merged, MergeProgress.NONE, () -> false))
          .hasMessageContaining("is there already and is something else")
          .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isFalse());
    }
    // The first one may be another run's of the same plan.
    assertThat(store.keys("out/others/"))
        .containsExactly("out/others/a-1.safetensors", "out/others/a-2.safetensors");
    assertThat(to.directory()).doesNotExist();
  }

  @Test
  void aBucketThatDoesNotExistIsARefusalBeforeAnythingIsMerged() {
    Destination to =
        new BucketDestination(
            ModelLocation.path("s3://no-such-bucket/out/x"), work, BucketTransfer.PART);
    assertThatThrownBy(() -> BucketTransfer.run(request, to, MergeProgress.NONE))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("there is no such bucket")
        .satisfies(e -> assertThat(TransferException.isOfEnvironment(e)).isFalse());
    assertThat(to.directory()).doesNotExist();
  }

  @Test
  void onlyWhatMayPassIsTriedAgain() {
    assertThat(BucketDestination.mayPass(new IOException("status 501"))).isFalse();
    assertThat(BucketDestination.mayPass(new AccessDeniedException("refused"))).isFalse();
    assertThat(BucketDestination.mayPass(new InterruptedIOException("told to end"))).isTrue();
    assertThat(
            BucketDestination.mayPass(
                new IOException("a part", new EnvironmentException("no answer"))))
        .isTrue();
  }

  @Test
  void whatIsThereAlreadyIsRefusedBeforeAnythingIsMerged() throws IOException {
    put(directory.resolve("base"), "out/taken");
    assertThatThrownBy(() -> transfer("out/taken"))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("exists and is not of this transfer");
    assertThat(to("out/taken").directory()).doesNotExist();
    assertThatThrownBy(() -> new BucketDestination(store.path(""), work))
        .hasMessageContaining("is a whole bucket");
  }
}
