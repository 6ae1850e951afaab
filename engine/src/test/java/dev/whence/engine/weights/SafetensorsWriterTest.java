package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.training.TrainedModel;
import dev.whence.files.OwnFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.FloatRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Files that training writes, and their 16-bit floats. */
class SafetensorsWriterTest {
  @TempDir private Path directory;

  private static SafetensorsWriter.Tensor tensor(String name, List<Long> shape, float... values) {
    return new SafetensorsWriter.Tensor(
        name, shape, (offset, n) -> Arrays.copyOfRange(values, (int) offset, (int) offset + n));
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void whatWasWrittenIsReadBack(ElementType type) {
    Path file = directory.resolve("model.safetensors");
    SafetensorsWriter.write(
        file,
        type,
        List.of(tensor("b", List.of(2L, 2L), 1, -2, 0.5f, -0f), tensor("a", List.of(1L), 1024)),
        Map.of("made_by", "a test"));
    try (SafetensorsWeights weights = new SafetensorsWeights(directory)) {
      assertThat(weights.tensors().keySet()).containsExactlyInAnyOrder("a", "b");
      TensorInfo info = weights.tensors().get("b");
      assertThat(info.type()).isEqualTo(type);
      assertThat(info.shape()).containsExactly(2L, 2L);
      ByteBuffer bytes =
          ByteBuffer.allocate((int) info.byteLength()).order(ByteOrder.LITTLE_ENDIAN);
      weights.read("b", 0, bytes);
      bytes.flip();
      for (float expected : new float[] {1, -2, 0.5f, -0f}) {
        assertThat(Float.floatToRawIntBits(type.next(bytes)))
            .isEqualTo(Float.floatToRawIntBits(expected));
      }
    }
  }

  @Test
  void valuesThatCanNotBeReadAreOneSentenceAndNothingIsLeftBehind() throws IOException {
    Path file = Files.writeString(directory.resolve("model.safetensors"), "the one before");
    SafetensorsWriter.Values gone =
        (offset, n) -> {
          throw new UncheckedIOException(new IOException("Input/output error"));
        };
    assertThatThrownBy(
            () ->
                SafetensorsWriter.write(
                    file,
                    ElementType.F32,
                    List.of(new SafetensorsWriter.Tensor("a", List.of(1L), gone)),
                    Map.of()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.ENVIRONMENT))
        .hasMessage(
            file
                + " could not be written: what goes into it can not be read (Input/output error).");
    assertThat(file).hasContent("the one before");
    try (Stream<Path> entries = Files.list(directory)) {
      assertThat(entries).containsExactly(file);
    }
  }

  @Test
  void aPlaceThatCanNotBeWrittenIsOneSentence() throws IOException {
    Path file = directory.resolve("model.safetensors");
    Files.createDirectories(directory.resolve("model.safetensors.writing/inner"));
    assertThatThrownBy(() -> SafetensorsWriter.write(file, ElementType.F32, List.of(), Map.of()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.ENVIRONMENT))
        .hasMessageStartingWith(file + " could not be written ")
        .hasMessageEndingWith(".");
    assertThat(file).doesNotExist();
  }

  /** In a directory that others can write to, somebody may have left one. */
  @Test
  void aLinkWhereAFileGrowsIsNotFollowed() throws IOException {
    Path file = directory.resolve("model.safetensors");
    Path theirs = Files.writeString(directory.resolve("theirs"), "theirs");
    Path growing = directory.resolve("model.safetensors.writing");
    Files.createSymbolicLink(growing, theirs);
    assertThatThrownBy(
            () ->
                SafetensorsWriter.write(
                    file, ElementType.F32, List.of(tensor("a", List.of(1L), 1)), Map.of()))
        .isInstanceOf(EngineException.class)
        .hasMessage(
            file
                + " could not be written ('"
                + growing
                + "': it is a link, which is not followed here).");
    assertThat(theirs).hasContent("theirs");

    Files.createSymbolicLink(directory.resolve("config.json.writing"), theirs);
    assertThatThrownBy(() -> TrainedModel.put(directory, "config.json", new byte[2]))
        .isInstanceOf(OwnFile.LinkException.class);
    assertThat(theirs).hasContent("theirs");
  }

  @Test
  void aValueThatSixteenBitsCanNotHoldIsRefusedByTensor() {
    Path file = directory.resolve("model.safetensors");
    assertThatThrownBy(
            () ->
                SafetensorsWriter.write(
                    file,
                    ElementType.F16,
                    List.of(tensor("layer.weight", List.of(2L), 1, 65520)),
                    Map.of()))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("layer.weight")
        .hasMessageContaining("F16");
    assertThat(file).doesNotExist();
  }

  @Test
  void everyHalfComesBackAsItWas() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      float value = SixteenBits.fromF16((short) bits);
      if (Float.isNaN(value)) {
        assertThat(SixteenBits.fromF16(SixteenBits.toF16(value))).isNaN();
      } else {
        assertThat(SixteenBits.toF16(value)).isEqualTo((short) bits);
      }
    }
  }

  @Property(tries = 20_000)
  void halvesAreTheNearestOnesTiesToEven(
      @ForAll @FloatRange(min = -70_000, max = 70_000) float value, @ForAll int pattern) {
    nearest(value);
    nearest(value * 1e-6f);
    nearest(Float.intBitsToFloat(pattern));
  }

  private static void nearest(float value) {
    if (!Float.isFinite(value)) {
      return;
    }
    short rounded = SixteenBits.toF16(value);
    double distance = distance(SixteenBits.fromF16(rounded), value);
    for (int neighbour : new int[] {rounded - 1, rounded + 1}) {
      if ((neighbour ^ rounded) << 16 < 0) {
        continue; // across zero, or past infinity
      }
      float other = SixteenBits.fromF16((short) neighbour);
      if (Float.isNaN(other)) {
        continue;
      }
      double further = distance(other, value);
      assertThat(distance).isLessThanOrEqualTo(further);
      if (distance == further) {
        assertThat(rounded & 1).as("ties to even: %s", value).isZero();
      }
    }
  }

  /** Infinity counts as the next number after the largest, as IEEE 754 has it. */
  private static double distance(float half, float value) {
    double number = Float.isInfinite(half) ? Math.copySign(65536, half) : half;
    return Math.abs(number - value);
  }

  @Test
  void bf16IsTheUpperHalfRoundedToEven() {
    Random random = new Random(3);
    for (int i = 0; i < 100_000; i++) {
      float value = Float.intBitsToFloat(random.nextInt());
      if (!Float.isFinite(value)) {
        continue;
      }
      int rounded = SixteenBits.toBf16(value) & 0xffff;
      long magnitude = Float.floatToRawIntBits(value) & 0x7fff_ffffL;
      long halves = 2 * ((rounded & 0x7fffL) << 16);
      assertThat(Math.abs(halves - 2 * magnitude)).isLessThanOrEqualTo(1 << 16);
      if (Math.abs(halves - 2 * magnitude) == 1 << 16) {
        assertThat(rounded & 1).isZero();
      }
    }
    assertThat(SixteenBits.toBf16(1 + 0x1p-8f) & 0xffff).as("1 + 2^-8: a tie").isEqualTo(0x3f80);
    assertThat(SixteenBits.toBf16(1 + 0x3p-8f) & 0xffff).as("1 + 3 2^-8").isEqualTo(0x3f82);
  }
}
