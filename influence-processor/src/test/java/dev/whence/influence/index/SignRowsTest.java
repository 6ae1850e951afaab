package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SignRowsTest {
  private static final int START = 24;
  private static final int K = 192;

  @TempDir private Path directory;

  private static float[] gaussian(Random random) {
    float[] values = new float[K];
    for (int i = 0; i < K; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /** More than a block of the scan, and rows of 24 bytes in maps of 10 rows. */
  @Test
  void aScanHasTheProductOfEachDocumentWithEachQuery() throws IOException {
    Random random = new Random(3);
    int n = 613;
    List<SignCodes> codes = new ArrayList<>();
    float[] scales = new float[n];
    ByteBuffer bytes =
        ByteBuffer.allocate(START + n * SignCodes.bytes(K)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.position(START);
    for (int i = 0; i < n; i++) {
      SignCodes one = SignCodes.of(new RotatedSketch(gaussian(random)));
      codes.add(one);
      scales[i] = one.scale();
      for (long word : one.signs()) {
        bytes.putLong(word);
      }
    }
    Path file = Files.write(directory.resolve("signs"), bytes.array());
    List<QueryPlanes> queries =
        List.of(
            QueryPlanes.coarse(new RotatedSketch(gaussian(random))),
            QueryPlanes.fine(new RotatedSketch(gaussian(random))));
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      SignRows rows = new SignRows(channel, START, n, K, 10 * 24 + 5);
      float[][] scores = rows.scan(queries, scales);
      for (int q = 0; q < queries.size(); q++) {
        for (int i = 0; i < n; i++) {
          double product = queries.get(q).product(codes.get(i).signs());
          assertThat(rows.product(queries.get(q), i)).isEqualTo(product);
          assertThat(scores[q][i])
              .isCloseTo((float) (product * scales[i]), within(1e-6f * Math.abs(scores[q][i])));
        }
      }
      assertThat(rows.bytes()).isEqualTo(n * 24L);
    }
  }

  @Test
  void aQueryOfAnotherSizeIsRefused() {
    QueryPlanes query = QueryPlanes.fine(new RotatedSketch(new float[64]));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> query.product(new long[2]))
        .withMessageContaining("2 words");
  }
}
