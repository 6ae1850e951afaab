package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.transfer.TransferException;
import org.junit.jupiter.api.Test;

class VocabularyTest {
  private static Vocabulary read(String vocabulary) throws JsonProcessingException {
    return Vocabulary.read(
        new ObjectMapper().readTree("{\"model\": {\"vocab\": " + vocabulary + "}}"), "the target");
  }

  @Test
  void theRowOfAUnigramTokenIsItsPosition() throws Exception {
    Vocabulary vocabulary = read("[[\"<unk>\", 0], [\"a\", -1.5]]");
    assertThat(vocabulary.row("a")).contains(1);
    assertThat(vocabulary.rows()).isEqualTo(2);
  }

  @Test
  void aTokenThatAUnigramVocabularyHasTwiceIsRefused() {
    assertThatThrownBy(() -> read("[[\"a\", -1], [\"b\", -2], [\"a\", -3]]"))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("the target: id 2 and another belong to the same token");
  }
}
