package dev.whence.benchmarks.influence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WorkersBenchTest {
  @TempDir private Path directory;

  @Test
  void eachOfTwoWorkersComputesItsShareOfBothJobs() throws IOException {
    WorkersReport report =
        WorkersBench.run(new WorkersBench.Options(directory, "tiny-base", 24, 1), progress -> {});
    WorkersReport.Round round = report.rounds().get(0);
    for (WorkersReport.Comparison job : List.of(round.factors(), round.index())) {
      assertThat(job.shares()).hasSize(2).allMatch(tokens -> tokens > 0);
      assertThat(job.shares().get(0) + job.shares().get(1)).isCloseTo(job.tokens(), within(1e-6));
      assertThat(job.counted()).isBetween(1.0, 2.0);
      assertThat(job.one()).isPositive();
      assertThat(job.several()).isPositive();
    }
    assertThat(round.factors().tokens())
        .as("covariances and Lambda see each document once")
        .isCloseTo(2 * round.index().tokens(), within(1e-6));
    assertThat(round.factors().undivided()).isPositive().isLessThan(round.factors().one());
    assertThat(report.markdown()).contains("| factors |", "| index |");
    assertThat(directory).isEmptyDirectory();
  }

  @Test
  void aWorkerWithoutADocumentIsRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new WorkersBench.Options(directory, "tiny-base", 1, 1));
  }
}
