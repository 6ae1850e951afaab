package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.files.Sha256;
import dev.whence.files.WholeFile;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument.Reference;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import dev.whence.influence.query.IndexScan;
import dev.whence.influence.query.MultiStageQuery;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardFileTest {
  private static final int K = 128;
  private static final int DOCUMENTS = 5;

  private static final IndexSettings SETTINGS =
      new IndexSettings(
          "model",
          "/models/model",
          "0".repeat(64),
          "/factors",
          "1".repeat(64),
          Measure.LOG_ODDS,
          Damping.DEFAULT,
          false,
          new BlockSketch(K, 1),
          "/corpus.jsonl",
          "2".repeat(64),
          1);

  @TempDir private Path directory;

  private static List<SketchedGradients.Vector> vectors() {
    Random random = new Random(4);
    List<SketchedGradients.Vector> vectors = new ArrayList<>();
    for (int i = 0; i < DOCUMENTS; i++) {
      vectors.add(new SketchedGradients.Vector(Vectors.gaussian(random, K), 10 + i));
    }
    return vectors;
  }

  private Path path() {
    return ShardFile.path(directory, 1, 1);
  }

  private ShardBuilder begun() {
    ShardBuilder builder = new ShardBuilder(path(), SETTINGS, 1);
    List<IndexedDocument> documents = new ArrayList<>();
    for (int i = 0; i < DOCUMENTS; i++) {
      documents.add(new IndexedDocument("d" + i, new Reference(i + 1, 10L * i, 9), 3, "text " + i));
    }
    builder.add(documents, vectors());
    return builder;
  }

  private static Progress read() {
    return new Progress(DOCUMENTS, DOCUMENTS, DOCUMENTS, 15, 0);
  }

  private ShardFile built() {
    try (ShardBuilder builder = begun()) {
      builder.finish(read());
    }
    return ShardFile.open(path());
  }

  /** Changes bytes, with a checksum that is right again: whoever made the file could have. */
  private void altered(Consumer<ByteBuffer> change) throws IOException {
    byte[] bytes = Files.readAllBytes(path());
    ByteBuffer content =
        ByteBuffer.wrap(bytes, 0, bytes.length - 32).order(ByteOrder.LITTLE_ENDIAN);
    change.accept(content);
    byte[] sum = Sha256.begin().digest(Arrays.copyOf(bytes, bytes.length - 32));
    System.arraycopy(sum, 0, bytes, bytes.length - 32, 32);
    Files.write(path(), bytes);
  }

  @Test
  void whatWasAddedIsThere() {
    ShardFile shard = built();
    List<SketchedGradients.Vector> vectors = vectors();
    float[] query = new float[K];
    Arrays.fill(query, .5f);
    RotatedSketch rotated = RotatedSketch.of(query);
    QueryPlanes planes = QueryPlanes.fine(rotated);
    float[][] scanned = shard.scan(List.of(planes));
    for (int i = 0; i < DOCUMENTS; i++) {
      SignCodes codes = SignCodes.of(RotatedSketch.of(vectors.get(i).sketch()));
      double expected = planes.product(codes.signs()) * codes.scale();
      assertThat(shard.products(planes, List.of(i))[0]).isCloseTo(expected, within(1e-6));
      assertThat(scanned[0][i]).isCloseTo((float) expected, within(1e-4f));
      assertThat(shard.norm(i)).isEqualTo(10 + i);
    }
    assertThat(shard.entries(List.of(3)).get(0).excerpt()).isEqualTo("text 3");
  }

  /**
   * Many more than a shortlist holds: seven that are like the query or against it, among noise
   * whose standard deviation is a fifth of theirs.
   */
  @Test
  void theBestOfManyComeOutWithTheirEstimates() {
    Random random = new Random(6);
    int n = 900;
    float[] query = Vectors.gaussian(random, K);
    List<IndexedDocument> documents = new ArrayList<>();
    List<SketchedGradients.Vector> vectors = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      float part = i % 150 == 3 ? 1 : i == 77 ? -1 : 0;
      float[] sketch = new float[K];
      for (int j = 0; j < K; j++) {
        sketch[j] = part * query[j] + .5f * (float) random.nextGaussian();
      }
      documents.add(new IndexedDocument("d" + i, new Reference(i + 1, 10L * i, 9), 3, "text"));
      vectors.add(new SketchedGradients.Vector(sketch, 1));
    }
    try (ShardBuilder builder = new ShardBuilder(path(), SETTINGS, 1)) {
      builder.add(documents, vectors);
      builder.finish(new Progress(n, n, n, n, 0));
    }
    ShardFile shard = ShardFile.open(path());
    double tokens = 50;
    IndexScan.Asked asked =
        new IndexScan.Asked(new MultiStageQuery.Preconditioned(Map.of(), query, 2, tokens), 6);
    IndexScan.Candidates found = IndexScan.scan(shard, List.of(asked)).get(0);
    assertThat(found.positive())
        .extracting(IndexScan.Candidate::document)
        .containsExactlyInAnyOrder(3, 153, 303, 453, 603, 753);
    assertThat(found.negative().get(0).document()).isEqualTo(77);
    assertThat(found.positive())
        .extracting(IndexScan.Candidate::estimate)
        .isSortedAccordingTo(Comparator.reverseOrder());
    QueryPlanes planes = QueryPlanes.fine(RotatedSketch.of(query));
    for (IndexScan.Candidate one : found.positive()) {
      assertThat(one.estimate())
          .isEqualTo(shard.products(planes, List.of(one.document()))[0] / tokens);
      assertThat(one.standardError())
          .isCloseTo(2 * Math.sqrt(Math.PI / 2 / K) / tokens, within(1e-12));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"WHENCEI1", "WHENCEI2"})
  void aShardOfAnEarlierVersionSaysSo(String format) throws IOException {
    built();
    altered(bytes -> bytes.put(0, format.getBytes(StandardCharsets.US_ASCII)));
    assertThatThrownBy(() -> ShardFile.open(path()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("earlier version")
        .hasMessageContaining("build the index anew");
  }

  /** Bytes of entries that are said to be negative would let any number of documents fit. */
  @Test
  void sectionsThatCanNotBeAreRefused() throws IOException {
    built();
    altered(
        bytes -> {
          String text = StandardCharsets.ISO_8859_1.decode(bytes.duplicate()).toString();
          int at = text.indexOf("\"entryBytes\":") + 13;
          bytes.put(at, (byte) '-');
        });
    assertThatThrownBy(() -> ShardFile.open(path()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("its sections end at byte");
  }

  @Test
  void lengthsThatAreNoneAreRefused() throws IOException {
    built();
    altered(
        bytes -> {
          int header = (int) bytes.getLong(8);
          bytes.putFloat(16 + header + DOCUMENTS * K / 8 + 4, Float.NaN); // norm of the first
        });
    assertThatThrownBy(() -> ShardFile.open(path()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("document 0 has the norm NaN");
  }

  @Test
  void aNormThatIsMoreThanFp32HoldsIsRefusedWithItsLine() {
    List<IndexedDocument> documents =
        List.of(new IndexedDocument("d", new Reference(7, 0, 9), 3, "text"));
    List<SketchedGradients.Vector> vectors =
        List.of(new SketchedGradients.Vector(vectors().get(0).sketch(), 1e39));
    try (ShardBuilder builder = new ShardBuilder(path(), SETTINGS, 1)) {
      assertThatThrownBy(() -> builder.add(documents, vectors))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("line 7, or its norm, is not finite");
    }
  }

  @Test
  void aFileThatIsCutShortWhileItIsReadIsNamed() throws IOException {
    ShardFile shard = built();
    try (FileChannel file = FileChannel.open(path(), StandardOpenOption.WRITE)) {
      file.truncate(0);
    }
    QueryPlanes query = QueryPlanes.coarse(RotatedSketch.of(vectors().get(0).sketch()));
    assertThatThrownBy(() -> shard.scan(List.of(query)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-1.index could not be searched");
  }

  @Test
  void whatDocumentsAreIsNotReadOutOfAnotherFileThatHasTheName() throws IOException {
    ShardFile shard = built();
    assertThat(shard.entries(List.of(0))).hasSize(1);
    Path other = Files.copy(path(), directory.resolve("other"));
    Files.move(other, path(), StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> shard.entries(List.of(0)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not what it was");
  }

  @Test
  void anEntryThatIsNoJsonIsRefused() throws IOException {
    built();
    altered(content -> content.put(content.limit() - 1, (byte) 0));
    ShardFile shard = ShardFile.open(path());
    assertThatThrownBy(() -> shard.entries(List.of(DOCUMENTS - 1)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("an entry is no JSON");
  }

  @Test
  void whatAnotherVersionBeganIsNotGoneOnWith() throws IOException {
    try (ShardBuilder builder = begun()) {
      builder.save(read());
    }
    Path state = path().resolveSibling("shard-1-of-1.index.unfinished").resolve("state.json");
    Files.writeString(
        state, Files.readString(state).replace("\"format\":\"" + ShardFile.FORMAT + "\",", ""));
    assertThatThrownBy(() -> new ShardBuilder(path(), SETTINGS, 1))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("begun by another version");
  }

  @Test
  void aStateThatAKilledRunWasWritingDoesNotStayBehind() throws IOException {
    Path unfinished = path().resolveSibling("shard-1-of-1.index.unfinished");
    try (ShardBuilder builder = begun()) {
      Files.writeString(unfinished.resolve("state.json-0" + WholeFile.WRITING), "{");
      builder.finish(read());
    }
    assertThat(unfinished).doesNotExist();
    assertThat(ShardFile.open(path()).size()).isEqualTo(DOCUMENTS);
  }
}
