package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.transfer.merge.MergeProgress;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class TransferProgressTest {
  private static final long SECOND = 1_000_000_000L;
  private static final long MIB = 1L << 20;

  @Test
  void everyPhaseHasARateAndATimeLeftOfItsOwn() {
    AtomicLong now = new AtomicLong(5 * SECOND);
    StringWriter err = new StringWriter();
    ProgressBar bar = new ProgressBar(new PrintWriter(err), /* terminal= */ true, now::get);
    MergeProgress merge = TransferProgress.on(bar);
    now.addAndGet(100 * SECOND);
    merge.moved(200 * MIB, 800 * MIB);
    assertThat(err.toString()).endsWith("200 MiB, 2/s, 300 s left");

    MergeProgress upload = TransferProgress.on(bar);
    now.addAndGet(2 * SECOND);
    upload.moved(20 * MIB, 100 * MIB);
    assertThat(err.toString()).endsWith("20 MiB, 10/s, 8 s left");
  }
}
