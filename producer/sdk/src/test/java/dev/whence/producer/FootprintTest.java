package dev.whence.producer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.LlmResponse;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.junit.jupiter.api.Test;

/** What the queue counts for a response, against the texts that it holds. */
class FootprintTest {
  private static final String TEXT = "x".repeat(10_000);
  private static final long BYTES_OF_TEXT = 2L * TEXT.length();

  private int texts;

  @Test
  void everyTextOfAResponseIsCounted() {
    LlmResponse response = (LlmResponse) filled(LlmResponse.getClassSchema());

    // The flat rates for objects are less than one text.
    assertThat(Footprint.of(response))
        .isBetween(texts * BYTES_OF_TEXT, (texts + 1) * BYTES_OF_TEXT);
  }

  @Test
  void theSegmentOfEachCitationIsCounted() {
    LlmResponse one = (LlmResponse) filled(LlmResponse.getClassSchema());
    LlmResponse more = LlmResponse.newBuilder(one).build();
    for (int i = 0; i < 99; i++) {
      more.getCitations().add(one.getCitations().get(0));
    }

    assertThat(Footprint.of(more)).isGreaterThan(Footprint.of(one) + 99 * BYTES_OF_TEXT);
  }

  /** A value with each text in it that its schema has room for; arrays and maps have one entry. */
  private Object filled(Schema schema) {
    return switch (schema.getType()) {
      case RECORD -> {
        SpecificRecord record = (SpecificRecord) SpecificData.get().newRecord(null, schema);
        schema.getFields().forEach(field -> record.put(field.pos(), filledField(field)));
        yield record;
      }
      case ARRAY -> List.of(filled(schema.getElementType()));
      case MAP -> Map.of((String) text(), filled(schema.getValueType()));
      case STRING -> text();
      default -> throw new AssertionError("a new type of field: " + schema);
    };
  }

  private Object filledField(Schema.Field field) {
    return switch (field.schema().getType()) {
      case RECORD, ARRAY, MAP, STRING -> filled(field.schema());
      default -> SpecificData.get().getDefaultValue(field);
    };
  }

  private Object text() {
    texts++;
    return TEXT;
  }
}
