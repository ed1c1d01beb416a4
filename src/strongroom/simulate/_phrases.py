"""Stock phrases that everybody uses, honest or not: openings, follow-ups, requirements, answers, system prompts."""

from __future__ import annotations

LANGUAGES = ("Rust", "Go", "TypeScript", "Java", "Python", "C++", "Ruby", "Kotlin", "plain English", "French",
             "German", "Spanish", "Japanese", "a table", "JSON", "bullet points")  # fmt: skip

OPENERS = tuple(
    line.strip()
    for line in """
    Explain this to me:
    What does this do?
    Can you walk me through this part
    why is this needed
    I don't understand the following:
    Summarise this in a few sentences:
    Rewrite this so that it is easier to read:
    Is there a mistake in here?
    Please review the following.
    find the bug
    How would you test this?
    Write a short comment for this:
    Translate this to German:
    Translate to Spanish please
    Give me an example of how to use this:
    what happens if the input is empty here
    Turn this into a checklist:
    Could this be simpler?
    How can I make this faster?
    Shorten:
    What are the main points?
    I need a better name for this:
    Which assumptions are made here?
    Write release notes from this:
    Explain like I'm new to this:
    What would a user get wrong here?
    Make this sound more formal:
    Draft an email about this:
    What's missing from this description?
    convert to bullet points
    Compare this with the usual way of doing it:
    Is this safe with several threads?
    Write unit tests for this:
    Add type hints:
    Describe the edge cases of
    What does the second part mean?
    Help me document this:
    Continue:
    Why might this fail on Windows?
    Does this still hold for large inputs?
    I got this from a colleague, thoughts?
    Please proofread.
    Rephrase without jargon:
    Give three questions that I should ask about this:
    What is the purpose of this passage?
    how do I call this
    Could you refactor this?
    List every term I should look up:
    Turn this into a table:
    Write a docstring for:
    What is the complexity of this?
    Give me a title for this text:
    Suggest a log message for the failure here:
    Where would you put a cache?
    Critique this:
    Is this up to date?
    Explain the error handling in this:
    Make an outline of this:
    what's the difference between this and the standard approach?
    Answer the question in this text:
    Check the grammar of this:
    I have to present this tomorrow, help me:
    Note to self, please expand:
    Pull out all names and numbers:
    What should I read next after this?
    Which part of this is the hardest to change later?
    """.strip().splitlines()
)

FOLLOW_UPS = tuple(
    line.strip()
    for line in """
    now do the same in {language}
    shorten this
    and in {language}?
    Can you give an example
    why
    that's not what I meant
    more detail please
    what about this part
    Rewrite it as {language}
    thanks, now also cover
    it doesn't work, I get an error at
    explain the second step
    make it simpler
    are you sure about
    What if this is missing
    Put it in a table
    go on
    Use {language} instead
    can you double check
    remove the part about
    and the opposite case?
    give me two alternatives
    where does this come from
    what would you change in
    I meant
    ok and how do I test
    add a comment on
    less formal please
    Can you be more specific about
    is there a shorter way for
    keep the structure but change
    One more thing
    what are the risks of
    How does that relate to
    list the steps again, with
    merge both, starting from
    please fix
    Which one is better for
    same question for
    and without
    """.strip().splitlines()
)

REQUIREMENTS = tuple(
    line.strip()
    for line in """
    Keep it short.
    Answer in plain words, no jargon.
    Use only the standard library.
    Show your steps.
    Please give one example.
    I am a beginner, so go slowly.
    Don't change the names.
    Think about empty input as well.
    It has to run on an old machine with little memory.
    Give me the result first and the reasons afterwards.
    No introduction, please.
    At most ten lines.
    It is for a colleague who has not seen any of this before.
    Mention what can go wrong.
    Use British spelling.
    Also say how you would check that the result is right.
    Write it so that I can paste it into a ticket.
    If something is unclear, say what you assume.
    We need it by tonight, so a rough version is fine.
    Keep the original order of the parts.
    Compare at least two ways to do it.
    Please avoid anything that needs a network connection.
    The reader is an accountant, not an engineer.
    Use headings.
    Leave out what is obvious.
    """.strip().splitlines()
)

LEARNING = ("I am trying to understand", "my notes say", "in chapter three:", "so far I have", "the exercise was",
            "I got stuck at", "is it right that", "from the lecture,", "what I don't get is", "on my list today:",
            "yesterday we did", "my attempt for")  # fmt: skip

RESPONSES = ("Sure. ", "Here is a short answer: ", "", "Yes, and the reason is this: ", "There are two parts. First, ",
             "In short: ", "Let me go through it. ", "It depends. With ", "Certainly! ", "The main point is ",
             "I would start from ", "You can do it like this: ")  # fmt: skip

SYSTEM_ROLES = ("a helpful assistant", "a senior engineer", "a patient teacher", "an editor", "a research assistant",
                "a concise technical writer", "a data analyst", "an assistant for our small team", "my study partner",
                "a careful reviewer", "a product manager's right hand", "a translator", "a support agent",
                "a legal secretary", "a maths tutor", "a command line expert")  # fmt: skip
SYSTEM_RULES = ("Answer briefly.", "Ask when something is unclear.", "Never invent sources.", "Use Markdown.",
                "Do not use Markdown.", "Reply in the language of the question.", "Give code without explanation.",
                "Prefer examples to theory.", "Be friendly.", "Be blunt.", "Say so when you do not know.",
                "Keep answers under 200 words.", "Number your steps.", "Cite the part of the text that you mean.",
                "Do not repeat the question.", "Write for readers who are not native speakers.")  # fmt: skip
