package dev.whence.influence;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.ElementType;
import dev.whence.influence.compression.Compression;
import dev.whence.influence.correction.CorrectionSet;
import java.net.URI;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On the file system of the JDK's own modules, which can only be read, as a bucket. */
class OutputPlaceTest {
  private static final Path READ_ONLY = Path.of(URI.create("jrt:/java.base/output"));

  @TempDir private Path directory;

  @Test
  void aPlaceThatCanOnlyBeReadIsRefusedBeforeAnythingElseIsLookedAt() {
    Path nothing = directory.resolve("nothing");
    Compression compression =
        new Compression(
            nothing, nothing, new Compression.Options(Optional.of(1), 0, ElementType.F32));
    for (Runnable writing :
        new Runnable[] {
          () -> OutputPlace.check(READ_ONLY),
          () -> CorrectionSet.checkFree(READ_ONLY),
          () -> compression.write(READ_ONLY, TinyFactors.CPU, product -> {})
        }) {
      assertThatThrownBy(writing::run)
          .isInstanceOf(InfluenceException.class)
          .hasMessage(
              READ_ONLY + " can not be written a piece at a time. Give a place on this machine.");
    }
    assertThatCode(() -> OutputPlace.check(nothing)).doesNotThrowAnyException();
  }
}
