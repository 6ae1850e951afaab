package dev.whence.schemas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.schemas.avro.LlmResponse;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.avro.SystemLimitException;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.junit.jupiter.api.Test;

/** Runs with the limits that the build sets for every test, as every launcher does. */
class AvroLimitsTest {

  @Test
  void theBuildSetsTheLimitsThatLaunchersAreToSet() {
    assertThat(AvroLimits.missing()).isEmpty();
    AvroLimits.SYSTEM_PROPERTIES.forEach(
        (name, value) -> assertThat(System.getProperty(name)).isEqualTo(value));
  }

  @Test
  void theLauncherSetsThem() throws IOException {
    String launcher = Files.readString(Path.of("..", "whence"));

    AvroLimits.SYSTEM_PROPERTIES.forEach(
        (name, value) -> assertThat(launcher).contains(" -D" + name + "=" + value + " "));
  }

  @Test
  void aFewBytesThatAskForGigabytesOfTextAreRefused() throws IOException {
    // The first field is responseId: a length of 1.9 billion, and nothing after it.
    byte[] bomb = bytes(encoder -> encoder.writeLong(1_900_000_000L));

    assertThat(bomb).hasSize(5);
    assertThatThrownBy(() -> decode(bomb))
        .isInstanceOf(SystemLimitException.class)
        .hasMessageContaining("maximum allowed");
  }

  @Test
  void aFewBytesThatAskForABillionItemsAreRefused() throws IOException {
    byte[] bomb =
        bytes(
            encoder -> {
              encoder.writeString("r");
              encoder.writeString("");
              encoder.writeLong(0);
              encoder.writeLong(1_900_000_000L); // items of messages
            });

    assertThat(bomb).hasSizeLessThan(16);
    assertThatThrownBy(() -> decode(bomb))
        .isInstanceOf(SystemLimitException.class)
        .hasMessageContaining("maximum allowed");
  }

  @Test
  void aRecordThatEndsEarlyIsAnEndOfFileAndNothingElse() throws IOException {
    byte[] whole =
        bytes(
            encoder -> {
              encoder.writeString("r-1");
              encoder.writeString("a model");
            });

    for (int length = 0; length < whole.length; length++) {
      byte[] cut = Arrays.copyOf(whole, length);
      assertThatThrownBy(() -> decode(cut)).isInstanceOf(IOException.class);
    }
  }

  private static LlmResponse decode(byte[] bytes) throws IOException {
    return new SpecificDatumReader<>(LlmResponse.class)
        .read(null, DecoderFactory.get().binaryDecoder(bytes, null));
  }

  private interface Writing {
    void to(BinaryEncoder encoder) throws IOException;
  }

  private static byte[] bytes(Writing writing) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
    writing.to(encoder);
    encoder.flush();
    return out.toByteArray();
  }
}
