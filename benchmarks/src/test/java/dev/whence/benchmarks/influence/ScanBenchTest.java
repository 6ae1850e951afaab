package dev.whence.benchmarks.influence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.whence.influence.index.RowWidth;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ScanBenchTest {
  @TempDir private Path directory;

  @Test
  void aRunCountsItsBytesAndLeavesNothing() throws IOException {
    ScanReport report = ScanBench.run(new ScanBench.Options(directory, 700, 128), progress -> {});
    assertThat(report.bytes()).isEqualTo(700 * 16);
    assertThat(report.rows())
        .extracting(ScanReport.Row::queries)
        .containsExactly(1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8);
    assertThat(report.rows().subList(0, 3))
        .extracting(ScanReport.Row::held)
        .containsExactly(false, false, true);
    assertThat(report.rows().subList(0, 2))
        .extracting(ScanReport.Row::width)
        .containsExactlyInAnyOrder(RowWidth.values());
    assertThat(report.rows()).allMatch(row -> row.median() > 0 && row.high() >= row.median());
    assertThat(directory).isEmptyDirectory();
    assertThat(report.markdown()).contains("700 documents of 128 bits", "| the heap |");
  }

  @Test
  void sizesThatNoIndexHasAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ScanBench.Options(directory, 10, 100))
        .withMessageContaining("100 numbers");
  }
}
