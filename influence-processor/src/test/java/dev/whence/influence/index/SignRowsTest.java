package dev.whence.influence.index;

import static dev.whence.influence.index.Vectors.gaussian;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SignRowsTest {
  private static final int START = 24;
  private static final int K = 192;

  @TempDir private Path directory;

  @ParameterizedTest
  @EnumSource(RowWidth.class)
  void aScanHasTheProductOfEachDocumentWithEachQuery(RowWidth width) throws IOException {
    Random random = new Random(3);
    int n = 613;
    List<SignCodes> codes = new ArrayList<>();
    float[] scales = new float[n];
    ByteBuffer bytes =
        ByteBuffer.allocate(START + n * SignCodes.bytes(K)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.position(START);
    for (int i = 0; i < n; i++) {
      SignCodes one = SignCodes.of(new RotatedSketch(gaussian(random, K)));
      codes.add(one);
      scales[i] = one.scale();
      for (long word : one.signs()) {
        bytes.putLong(word);
      }
    }
    Path file = Files.write(directory.resolve("signs"), bytes.array());
    List<QueryPlanes> queries =
        List.of(
            QueryPlanes.coarse(new RotatedSketch(gaussian(random, K))),
            QueryPlanes.fine(new RotatedSketch(gaussian(random, K))));
    SignRows rows = new SignRows(file, START, n, K, width);
    float[][] scores = rows.scan(queries, scales);
    List<Integer> all = IntStream.range(0, n).boxed().toList();
    for (int q = 0; q < queries.size(); q++) {
      double[] products = rows.products(queries.get(q), all);
      for (int i = 0; i < n; i++) {
        double product = queries.get(q).product(codes.get(i).signs());
        assertThat(products[i]).isEqualTo(product);
        assertThat(scores[q][i]).isEqualTo((float) (product * scales[i]));
      }
    }
    assertThat(rows.bytes()).isEqualTo(n * 24L);
    SignRows held = rows.inMemory();
    assertThat(rows.areInMemory()).isFalse();
    assertThat(held.areInMemory()).isTrue();
    assertThat(held.inMemory()).isSameAs(held);
    assertThat(held.scan(queries, scales)).isDeepEqualTo(scores);
    assertThat(held.products(queries.get(1), List.of(612, 7)))
        .containsExactly(
            rows.products(queries.get(1), List.of(612))[0],
            rows.products(queries.get(1), List.of(7))[0]);
  }

  /**
   * Longer than what is counted at once, and not a multiple of it; numbers that planes hold
   * exactly.
   */
  @ParameterizedTest
  @EnumSource(RowWidth.class)
  void productsOfWholeNumbersWithManyWordsAreExact(RowWidth width) throws IOException {
    int k = 64 * (2 * 1024 + 5);
    int n = 21;
    Random random = new Random(4);
    float[] query = new float[k];
    for (int i = 0; i < k; i++) {
      query[i] = random.nextInt(2 * 32767 + 1) - 32767;
    }
    query[7] = 32767; // the largest, so that a step is 1
    long[] expected = new long[n];
    float[] scales = new float[n];
    ByteBuffer bytes = ByteBuffer.allocate(n * k / 8).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < n; i++) {
      scales[i] = 1 + random.nextFloat();
      for (int w = 0; w < k / 64; w++) {
        long word = random.nextLong();
        bytes.putLong(word);
        for (int bit = 0; bit < 64; bit++) {
          long sign = (word >>> bit & 1) == 1 ? 1 : -1;
          expected[i] += sign * (long) query[64 * w + bit];
        }
      }
    }
    Path file = Files.write(directory.resolve("long"), bytes.array());
    QueryPlanes planes = QueryPlanes.fine(new RotatedSketch(query));
    float[] scores = new SignRows(file, 0, n, k, width).scan(List.of(planes), scales)[0];
    for (int i = 0; i < n; i++) {
      assertThat(scores[i]).isEqualTo((float) ((double) expected[i] * scales[i]));
    }
  }

  @Test
  void aFileThatIsNotTheOneThatWasOpenedIsRefused() throws IOException {
    Path file = Files.write(directory.resolve("signs"), new byte[START + 24]);
    SignRows rows = new SignRows(file, START, 1, K);
    QueryPlanes query = QueryPlanes.fine(new RotatedSketch(new float[K]));
    assertThat(rows.products(query, List.of(0))).containsExactly(0);
    Path other = Files.write(directory.resolve("other"), new byte[START + 24]);
    Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> rows.products(query, List.of(0)))
        .hasMessageContaining("not what it was");
  }

  /** Results would name documents of the one by entries of the other. */
  @Test
  void signsInMemoryAreRefusedWhereTheirFileIsNotTheOneThatWasOpened() throws IOException {
    Path file = Files.write(directory.resolve("signs"), new byte[START + 24]);
    SignRows rows = new SignRows(file, START, 1, K).inMemory();
    QueryPlanes query = QueryPlanes.fine(new RotatedSketch(new float[K]));
    assertThat(rows.scan(List.of(query), new float[1])[0]).containsExactly(0);
    Path other = Files.write(directory.resolve("other"), new byte[START + 24]);
    Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> rows.scan(List.of(query), new float[1]))
        .hasMessageContaining("not what it was");
  }

  @Test
  void rowsThatTheFileDoesNotHaveAreRefused() throws IOException {
    Path file = Files.write(directory.resolve("signs"), new byte[START + 24]);
    SignRows rows = new SignRows(file, START, 2, K);
    QueryPlanes query = QueryPlanes.fine(new RotatedSketch(new float[K]));
    assertThatThrownBy(rows::inMemory).isInstanceOf(EOFException.class);
    assertThatThrownBy(() -> rows.scan(List.of(query), new float[2]))
        .isInstanceOf(EOFException.class)
        .hasMessageContaining("ends at byte " + (START + 24));
  }

  @Test
  void aQueryOfAnotherSizeIsRefused() {
    QueryPlanes query = QueryPlanes.fine(new RotatedSketch(new float[64]));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> query.product(new long[2]))
        .withMessageContaining("2 numbers");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> query.product(new int[3], 0, 3))
        .withMessageContaining("3 numbers");
  }

  @ParameterizedTest
  @EnumSource(RowWidth.class)
  void rowsOfSeveralBlocksAreEachInItsPlace(RowWidth width) {
    int n = 10;
    Random random = new Random(5);
    ByteBuffer bytes = ByteBuffer.allocate(n * 24).order(ByteOrder.LITTLE_ENDIAN);
    HeldSigns held = new HeldSigns(width, n, 3, 3 * 24 + 5); // three rows in a block
    for (int i = 0; i < 3 * n; i++) {
      bytes.putLong(random.nextLong());
    }
    for (int i = 0; i < n; i++) {
      held.take(bytes.rewind(), i, i);
    }
    QueryPlanes query = QueryPlanes.fine(new RotatedSketch(gaussian(random, K)));
    for (int i = 0; i < n; i++) {
      long[] row = {bytes.getLong(24 * i), bytes.getLong(24 * i + 8), bytes.getLong(24 * i + 16)};
      assertThat(held.product(query, i)).isEqualTo(query.product(row));
    }
  }
}
