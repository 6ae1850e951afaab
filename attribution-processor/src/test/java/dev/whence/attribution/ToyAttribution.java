package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;

import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;

/** Attributions of one answer, and others to the same context, by a toy model. */
abstract class ToyAttribution {
  static final String ANSWER = "The cat. It is on the mat.";
  static final Part CONTEXT =
      document("d", "The cat sat on the mat. The dog ran.\n\nParis is in France. It is.");
  static final Conversation CONVERSATION =
      Conversations.of(ANSWER, "stop", CONTEXT, question("\nWhere is the cat?"));

  final ToyTransformer scorer =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3);

  AttributionResult attribute(Conversation conversation) {
    return new Attributor(scorer, AttributionOptions.DEFAULT).attribute(conversation);
  }

  static AttributionOptions bound(String method, double seconds) {
    return new AttributionOptions(
        MethodOptions.of(method).withKeepParagraphs(1), Granularity.SENTENCE, seconds, false, "");
  }
}
