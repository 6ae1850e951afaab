package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class BrokerHaltTest {
  private static final Path DATA = Path.of("/data/whence");

  @Test
  void aFullDiskIsNamedWithWhatItHasLeft() {
    assertThat(BrokerHalt.sentence(DATA, 409_600))
        .isEqualTo(
            "The embedded broker ends this process: the disk of '/data/whence' is full (0.4 MB left);"
                + " free some space there, or name another place by --data-dir.");
  }

  @Test
  void aDiskWithRoomOrOneThatCanNotBeAskedIsNotCalledFull() {
    for (long free : new long[] {1L << 30, -1}) {
      assertThat(BrokerHalt.sentence(DATA, free))
          .startsWith("The embedded broker ends this process, since it can not go on")
          .contains("'/data/whence'")
          .doesNotContain("full");
    }
  }
}
