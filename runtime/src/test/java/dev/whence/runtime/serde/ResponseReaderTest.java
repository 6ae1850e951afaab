package dev.whence.runtime.serde;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.LlmResponse;
import java.util.List;
import org.junit.jupiter.api.Test;

class ResponseReaderTest {

  private static LlmResponse response(String id) {
    return LlmResponses.toAvro(
        Conversation.builder("r-1")
            .messages(
                List.of(
                    Message.of("system", List.of(Part.of(PartKind.INSTRUCTION, "i", "Be brief."))),
                    Message.of(
                        "user",
                        List.of(
                            Part.of(PartKind.QUESTION, "q", "Where is the cat?"),
                            Part.of(PartKind.RETRIEVED, id, "The cat sat. The dog ran.")))))
            .response("There.")
            .build());
  }

  /** Each source of the part repeats it: one record would make an event of gigabytes. */
  @Test
  void thePlaceAndTheLengthOfAnIdThatIsTooLongToBeRepeatedAreSaidAndNotTheId() {
    assertThatExceptionOfType(ResponseReader.UnusableException.class)
        .isThrownBy(() -> ResponseReader.read(response("CANARY".repeat(1000))))
        .withMessage("the id of messages[1].parts[1] has 6000 characters, more than 1024")
        .satisfies(e -> assertThat(e.failure().code()).isEqualTo("INVALID_RESPONSE"));
  }

  @Test
  void anIdThatIsAsLongAsItMayBeIsRead() throws Exception {
    assertThat(ResponseReader.read(response("d".repeat(1024))).messages()).hasSize(2);
  }
}
