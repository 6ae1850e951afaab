package dev.whence.buckets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BucketsIT {
  private static final long SMALLEST_PART = 5 << 20;
  private static final int RACERS = 8;

  private Path directory;
  private ObjectStore store;

  @BeforeAll
  void open(@TempDir Path directory) throws Exception {
    this.directory = directory;
    store = ObjectStore.open(directory);
  }

  @AfterAll
  void close() {
    store.close();
  }

  private BucketUpload upload(String prefix, String owner) {
    return new BucketUpload(store.path(prefix), owner, SMALLEST_PART, sent -> {});
  }

  private static byte[] random(int bytes, long seed) {
    byte[] random = new byte[bytes];
    new Random(seed).nextBytes(random);
    return random;
  }

  private Path file(String name, byte[] bytes) throws IOException {
    return Files.write(directory.resolve(name), bytes);
  }

  @Test
  void whatIsPutInPartsIsReadByPositionAndAsAWhole() throws IOException {
    byte[] bytes = random(12_345_678, 1);
    upload("read/a", "p1").put("model.bin", file("model.bin", bytes));
    Path object = store.path("read/a/model.bin");
    assertThat(Files.readAllBytes(object)).isEqualTo(bytes);
    assertThat(Files.size(object)).isEqualTo(bytes.length);
    try (FileChannel channel = FileChannel.open(object)) {
      Random random = new Random(2);
      for (int i = 0; i < 60; i++) {
        int from = random.nextInt(bytes.length);
        int length = i % 3 == 0 ? 2_000_000 : 1 + random.nextInt(100_000);
        ByteBuffer target = ByteBuffer.allocate(length);
        int n = 0;
        for (int m = 0; m >= 0 && target.hasRemaining(); n += Math.max(0, m)) {
          m = channel.read(target, from + n);
        }
        assertThat(n).isEqualTo(Math.min(length, bytes.length - from));
        target.flip();
        assertThat(target.mismatch(ByteBuffer.wrap(bytes, from, n))).isEqualTo(-1);
      }
      assertThat(channel.read(ByteBuffer.allocate(1), bytes.length)).isEqualTo(-1);
    }
  }

  @Test
  void aPrefixIsADirectoryAndWhatIsNotThereIsNot() throws IOException {
    upload("tree/m", "p").put("config.json", file("config.json", new byte[] {1}));
    upload("tree/m", "p").put("lambda-1/b", file("b", new byte[] {2}));
    Path model = store.path("tree/m");
    assertThat(Files.isDirectory(model)).isTrue();
    assertThat(Files.isRegularFile(model.resolve("config.json"))).isTrue();
    assertThat(Files.exists(model.resolve("none"))).isFalse();
    assertThat(Files.exists(store.path("tre"))).isFalse();
    try (var children = Files.list(model)) {
      assertThat(children.map(child -> child.getFileName().toString()))
          .containsExactly("config.json", "lambda-1");
    }
    assertThat(model.resolve("x/../config.json").toRealPath())
        .isEqualTo(store.path("tree/m/config.json"));
    assertThat(model.resolve("../../..").normalize().toString()).isEqualTo("s3://models/");
    assertThatThrownBy(() -> FileChannel.open(store.path("tree/none")))
        .isInstanceOf(NoSuchFileException.class);
    assertThatThrownBy(() -> Files.write(model.resolve("new"), new byte[1]))
        .isInstanceOf(ReadOnlyFileSystemException.class);
    assertThatThrownBy(() -> Path.of(URI.create("s3://A_B/x")))
        .hasMessageContaining("is no name of a bucket");
  }

  @Test
  void anObjectThatIsReplacedWhileItIsReadIsAnErrorAndNoMixture() throws IOException {
    upload("replaced", "p").put("a", file("a", random(3 << 20, 3)));
    try (FileChannel channel = FileChannel.open(store.path("replaced/a"))) {
      channel.read(ByteBuffer.allocate(10), 0);
      store.overwrite("replaced/a", random(3 << 20, 4));
      assertThatThrownBy(() -> channel.read(ByteBuffer.allocate(10), 2 << 20))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("s3://models/replaced/a is not what it was");
    }
  }

  @Test
  void whatSomebodyElseHasPutIsNeverOverwrittenOrRemoved() throws IOException {
    upload("taken", "one").put("a", file("one", random(6 << 20, 5)));
    assertThat(upload("taken", "one").foreign()).isEmpty();
    assertThat(upload("taken", "two").foreign()).contains("s3://models/taken/a");
    for (int size : List.of(10, 6 << 20)) {
      assertThatThrownBy(() -> upload("taken", "two").put("a", file("two", random(size, 6))))
          .hasMessageContaining("s3://models/taken/a: is there already and is something else");
    }
    assertThat(store.keys("taken/")).containsExactly("taken/a");
    assertThat(Files.readAllBytes(store.path("taken/a"))).isEqualTo(random(6 << 20, 5));
  }

  @Test
  void anUploadThatIsStoppedLeavesNothingAndOneThatIsThereIsNotSentAgain() throws IOException {
    Path file = file("stopped", random(16 << 20, 7));
    BucketUpload stopped =
        new BucketUpload(
            store.path("stopped"),
            "p",
            SMALLEST_PART,
            sent -> {
              throw new IllegalStateException("stopped");
            });
    assertThatThrownBy(() -> stopped.put("a", file)).hasMessage("stopped");
    assertThat(store.keys("stopped/")).isEmpty();
    assertThat(store.unfinished()).noneMatch(key -> key.startsWith("stopped/"));

    AtomicLong sent = new AtomicLong();
    BucketUpload again =
        new BucketUpload(store.path("stopped"), "p", SMALLEST_PART, sent::addAndGet);
    again.put("a", file);
    assertThat(sent.get()).isEqualTo(16 << 20);
    Object time = Files.getLastModifiedTime(store.path("stopped/a"));
    again.put("a", file);
    assertThat(Files.getLastModifiedTime(store.path("stopped/a"))).isEqualTo(time);
  }

  @Test
  void allUploadsOfAnOwnerThatRaceAreToldWhatIsThere() throws Exception {
    Path file = file("raced", random(1000, 11));
    ExecutorService threads = Executors.newFixedThreadPool(RACERS);
    try {
      for (int round = 0; round < 10; round++) {
        Path prefix = store.path("raced-" + round);
        CyclicBarrier together = new CyclicBarrier(RACERS);
        List<Future<Long>> sums = new ArrayList<>();
        for (int i = 0; i < RACERS; i++) {
          sums.add(
              threads.submit(
                  () -> {
                    AtomicLong sent = new AtomicLong();
                    BucketUpload upload =
                        new BucketUpload(prefix, "p", SMALLEST_PART, sent::addAndGet);
                    together.await();
                    upload.put("a", file);
                    return sent.get();
                  }));
        }
        for (Future<Long> sum : sums) {
          assertThat(sum.get()).isEqualTo(1000);
        }
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void anotherUploadOfTheSameOwnerIsNotGivenUpAndWhatThisOneBeganIs() throws IOException {
    Path file = file("both", random(16 << 20, 8));
    Path begun = directory.resolve("begun");
    Path othersBegun = directory.resolve("others-begun");
    AtomicLong others = new AtomicLong();
    BucketUpload first =
        new BucketUpload(
            store.path("both"),
            "p",
            SMALLEST_PART,
            sent -> {
              if (others.getAndIncrement() == 0) { // in the middle of it
                try {
                  new BucketUpload(store.path("both"), "p", SMALLEST_PART, n -> {}, othersBegun)
                      .abortUnfinished();
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              }
            },
            begun);
    first.put("a", file);
    assertThat(Files.readAllBytes(store.path("both/a"))).isEqualTo(Files.readAllBytes(file));

    String key = "both/of-a-killed-one";
    Files.writeString(othersBegun, store.begin(key) + "\t" + key + "\n");
    String running = "both/of-a-running-one";
    store.begin(running);
    new BucketUpload(store.path("both"), "p", SMALLEST_PART, n -> {}, othersBegun)
        .abortUnfinished();
    assertThat(store.unfinished()).contains(running).doesNotContain(key);
    assertThat(othersBegun).doesNotExist();
  }

  @Test
  void whatWasPutAndIsGoneOrReplacedIsNoticed() throws IOException {
    Path file = file("checked", new byte[] {1, 2});
    BucketUpload upload = upload("checked", "p");
    upload.put("a", file);
    upload.check("a", file);
    store.overwrite("checked/a", new byte[] {1, 2});
    assertThatThrownBy(() -> upload.check("a", file)).hasMessageContaining("is something else");
    store.remove("checked/a");
    assertThatThrownBy(() -> upload.check("a", file)).hasMessageContaining("was put and is gone");
  }

  @Test
  void onlyWhatLiesDirectlyUnderAPrefixIsListedAndNotWithoutBound() throws IOException {
    for (int i = 0; i < 5; i++) {
      upload("many/deep", "p").put("a" + i, file("many", new byte[] {1}));
    }
    upload("many", "p").put("b", file("many", new byte[] {1}));
    Bucket bucket = ((BucketPath) store.path("many")).bucket().bucket();
    assertThat(bucket.children("many", 2)).containsExactly("b", "deep");
    assertThatThrownBy(() -> bucket.children("many/deep", 4))
        .isInstanceOf(IOException.class)
        .hasMessage("s3://models/many/deep/ has more than 4 entries");
    try (var all = Files.list(store.path(""))) {
      assertThat(all.map(Path::toString)).contains("s3://models/many");
    }
  }

  @Test
  void anAddressWithCredentialsIsRefusedWithoutThem() {
    String canary = "canary-secret";
    for (String address :
        List.of("s3://id:" + canary + "@models/x", "s3://" + canary + "@models/x")) {
      assertThatThrownBy(() -> Path.of(URI.create(address)))
          .hasMessageContaining("a bucket's address takes no credentials")
          .hasMessageNotContaining(canary);
    }
  }

  @Test
  void aStoreThatDoesNotAnswerIsToldFromOneThatRefuses() throws Exception {
    upload("down", "p").put("a", file("down", new byte[] {1}));
    store.down();
    try {
      assertThatThrownBy(() -> Files.readAllBytes(store.path("down/a")))
          .isInstanceOf(StoreUnavailableException.class)
          .hasMessageContaining("the store can not be reached");
    } finally {
      store.up();
    }
    assertThat(Files.readAllBytes(store.path("down/a"))).isEqualTo(new byte[] {1});
  }

  @Test
  void credentialsThatTheStoreRefusesAreSaidWithoutThem() throws IOException {
    upload("secret", "p").put("a", file("s", new byte[] {1}));
    System.setProperty("aws.secretAccessKey", "another-" + ObjectStore.SECRET);
    try {
      assertThatThrownBy(() -> Files.readAllBytes(store.path("secret/a")))
          .isInstanceOf(AccessDeniedException.class)
          .hasMessageContaining("the store refuses these credentials")
          .hasMessageNotContaining(ObjectStore.SECRET);
    } finally {
      System.setProperty("aws.secretAccessKey", ObjectStore.SECRET);
    }
  }
}
